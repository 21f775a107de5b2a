"""Data sets with a reader of their own: MNIST, Hoda and Shakespeare."""
