"""Report page and model card of a run, and a comparison of runs, from their files alone."""
