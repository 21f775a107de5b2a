"""Report page and model card of one run, or a comparison of several runs, from their files alone."""
