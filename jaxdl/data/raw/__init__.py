"""Raw files of data sets: their formats, read and checked."""
