"""The families: `family(input_shape, num_classes, width=1.0, ...)`, one a file.

`blocks`, `inverted` and `tokens` hold what several of them are made of. A new
family is a file here, a name in `keras_kd.students`, a row in
`tests/small_families.py` and a test of what its paper says.
"""
