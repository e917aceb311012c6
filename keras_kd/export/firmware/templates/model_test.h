// Checks on the device that the model computes what it did when it was
// exported. Written by keras-kd; leave it out of the firmware that ships.
#pragma once

#include "tensorflow/lite/micro/micro_interpreter.h"

namespace $namespace {

// Runs $num_vectors examples on an interpreter of this model whose tensors are
// allocated. Returns how many bytes of their outputs differ from those that
// TensorFlow Lite Micro's reference kernels gave, or -1 if a run fails.
int CheckModel(tflite::MicroInterpreter& interpreter);

}  // namespace $namespace
