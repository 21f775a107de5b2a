"""What every command line shares: the parser, progress display and signals."""
