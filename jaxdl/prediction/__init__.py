"""Predictions of a trained network for images and texts of a user.

The modules find inputs, prepare images, run the compiled network, measure texts, and write results
as files and pictures. `jaxdl.load` returns the `Run` of this package.
"""
