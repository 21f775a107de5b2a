"""Code shared by all commands: the parser, progress display and signals."""
