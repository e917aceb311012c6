"""Keras layers that simulate int8: they round, or compute rounded.

`fake_quantize` puts activations on their grids; `kernels`, `affine` and
`weightless` hold what computes on them, each in training as Keras does, in
inference as the file does.
"""
