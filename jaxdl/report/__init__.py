"""One page about a run, or about several beside each other, from their files alone."""
