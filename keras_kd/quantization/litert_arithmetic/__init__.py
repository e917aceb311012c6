"""The arithmetic of int8 files, as plain functions without layers or graphs.

Two programs decide what a file computes. Both are reproduced to the last bit:

- the runtime: ai-edge-litert 2.3.0 on a CPU with the kernels that it chooses by
  default, XNNPACK's if there is one, otherwise LiteRT's own (`operators`,
  `hard_swish`); or LiteRT's reference kernels and those of TFLite Micro
  (`fixed_point`), which differ in dense layers only;
- the converter of TensorFlow 2.21, `tf.lite.TFLiteConverter`, which decides
  what is stored (`stored`).

The kernels of accelerators are not reproduced; their results may differ by a
step of the outputs. If a new version of one of the two programs computes
something else, `tests/quantization/litert_arithmetic` and
`tests/quantization/test_files.py` fail: they compare with files that the
installed versions make and run.
"""
