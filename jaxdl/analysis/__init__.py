"""Looking inside a network: pure functions of a model, its variables and images or text."""
