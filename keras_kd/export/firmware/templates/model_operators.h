// The operators that the model uses, and no others. Written by keras-kd.
#pragma once

#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"

namespace $namespace {

constexpr unsigned int kNumOperators = $num_operators;

using Resolver = tflite::MicroMutableOpResolver<kNumOperators>;

inline TfLiteStatus AddOperators(Resolver& resolver) {
$registrations
  return kTfLiteOk;
}

}  // namespace $namespace
