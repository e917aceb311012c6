"""A student's graph made again out of layers that simulate int8.

`operation_kinds` says what int8 makes of each operation, `student_graph` what
runs as one and shares a grid, `ends` what stays in float32; `rewrite` replays
the graph with the layers that `remake` makes.
"""
