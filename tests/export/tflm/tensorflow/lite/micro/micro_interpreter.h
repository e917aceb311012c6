// A stand-in for the header of that name in TensorFlow Lite Micro. program.cc
// has the interpreter's methods.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"

struct TfLiteTensor {
  union {
    char* raw;
  } data;
  std::size_t bytes;
};

namespace tflite {

class MicroInterpreter {
 public:
  MicroInterpreter(const Model* model, const MicroOpResolver& resolver,
                   std::uint8_t* arena, std::size_t arena_size);
  TfLiteStatus AllocateTensors();
  TfLiteStatus Invoke();
  TfLiteTensor* input(std::size_t index);
  TfLiteTensor* output(std::size_t index);
  std::size_t inputs_size() const;
  std::size_t outputs_size() const;
};

}  // namespace tflite
