"""Training: an experiment built from a config, and the loop that trains a list of runs."""
