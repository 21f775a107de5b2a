"""Report page and model card of one run, or a comparison of several, from their files alone."""
