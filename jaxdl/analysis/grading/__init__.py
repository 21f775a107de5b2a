"""Metrics of attribution maps, and the grades of every method."""
