"""Published student architectures, called families, one per file.

All have the signature `family(input_shape, num_classes, width=1.0, ...)`.
`blocks`, `inverted` and `tokens` hold the parts that several families share. To
add a family, add a file here, its name to `keras_kd.students`, a row to
`tests/small_families.py` and a test of the numbers in its paper.
"""
