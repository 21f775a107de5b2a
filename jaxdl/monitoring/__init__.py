"""Output of a run while it trains: metrics, histograms, pictures, samples, the layer graph.

Only an error of `metrics.jsonl` ends a run; everything else is a side output.
"""
