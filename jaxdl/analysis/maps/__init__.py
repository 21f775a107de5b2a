"""Methods of attribution, one in a file; `jaxdl.analysis.attribution` has their public names."""
