"""Output of a run while it trains: metrics, histograms, pictures, samples and the layer graph.

Only an error in writing `metrics.jsonl` ends a run; everything else is a side output.
"""
