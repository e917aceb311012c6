"""Keras layers that simulate int8 arithmetic.

The layers of `fake_quantize` round activations to their grids. Those of
`kernels`, `affine` and `weightless` compute on the rounded values: in training
like the Keras layer, in inference like the file.
"""
