"""Rebuilds a student's graph from layers that simulate int8.

- `operation_kinds` classifies operations by what int8 does with them.
- `student_graph` finds the operations that are fused into one operator, and the
  tensors that share a grid.
- `ends` finds the first and last layers, which may stay in float32.
- `remake` makes the new layer for one operation.
- `rewrite` replays the graph with these layers.
"""
