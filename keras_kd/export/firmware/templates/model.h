// The bytes of model.tflite. Written by keras-kd; export again to change it.
#pragma once

#include <cstddef>

namespace $namespace {

constexpr std::size_t kModelSize = $model_size;

// TensorFlow Lite Micro needs the model to begin at a multiple of 16 bytes.
alignas(16) extern const unsigned char kModel[kModelSize];

}  // namespace $namespace
