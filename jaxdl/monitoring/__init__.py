"""What is written while a network learns: metrics, histograms, filters, samples, the graph.

Only an error of `metrics.jsonl` ends a run; everything else is a side output.
"""
