"""Predictions of a trained network for a user's own images and texts.

A concept a file: finding inputs, preparing images, the compiled network, texts, results as files
and pictures. `jaxdl.load` returns the `Run` of this package.
"""
