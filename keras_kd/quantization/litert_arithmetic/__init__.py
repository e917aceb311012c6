"""The arithmetic of int8 files, number by number: no layer, no graph.

Two programs decide what a file computes, and both are followed to the last bit:

- the runtime, ai-edge-litert 2.3.0 on a CPU with the kernels that it takes by
  itself, XNNPACK's where that has one and LiteRT's own elsewhere (`operators`,
  `hard_swish`);
- the converter of TensorFlow 2.21, `tf.lite.TFLiteConverter`, which decides
  what is stored (`stored`).

Not followed are LiteRT's reference kernels and those of accelerators, whose
results may be a step of the outputs away. Where one of the two programs moves,
`tests/quantization/litert_arithmetic` and `tests/quantization/test_files.py`
fail: they compare with files that the installed versions make and run.
"""
