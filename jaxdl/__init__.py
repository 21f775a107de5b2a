"""jaxdl: train a small network and look inside it, repeatable to the bit."""
