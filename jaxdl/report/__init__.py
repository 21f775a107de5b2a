"""Report page of one run, or a comparison of several runs, using only their files."""
