// What the model needs, takes and gives. Written by keras-kd.
#pragma once

#include <cstddef>

namespace $namespace {

// Bytes of the tensor arena. TensorFlow Lite Micro's reference kernels were
// measured to need this much on a 64-bit machine, which is an upper bound for
// the same kernels on a 32-bit chip. Optimized kernels, such as CMSIS-NN's, may
// take scratch memory on top; AllocateTensors() says so.
constexpr std::size_t kArenaSize = $arena_size;

// An input or an output. It holds real values as integers of `type`:
// value = scale * (integer - zero_point). A scale of 0 means: not quantized.
struct TensorInfo {
  const char* name;
  const char* type;
  int rank;
  int shape[$most_dimensions];
  float scale;
  int zero_point;
};

// In the order of the interpreter's input(i).
constexpr TensorInfo kInputs[] = {
$inputs
};

// In the order of the interpreter's output(i).
constexpr TensorInfo kOutputs[] = {
$outputs
};
$labels
}  // namespace $namespace
