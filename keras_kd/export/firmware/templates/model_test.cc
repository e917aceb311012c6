// Checks on the device that the model computes what it did when it was
// exported. Written by keras-kd; leave it out of the firmware that ships.
#include "model_test.h"

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "tensorflow/lite/micro/micro_log.h"

namespace $namespace {
namespace {

constexpr int kNumVectors = $num_vectors;

// The inputs of each run, one behind the other.
const std::uint8_t kGiven[kNumVectors][$input_bytes] = {
$given
};

// The outputs of each run, one behind the other.
const std::uint8_t kExpected[kNumVectors][$output_bytes] = {
$expected
};

}  // namespace

int CheckModel(tflite::MicroInterpreter& interpreter) {
  int differing = 0;
  for (int i = 0; i < kNumVectors; ++i) {
    const std::uint8_t* given = kGiven[i];
    for (std::size_t j = 0; j < interpreter.inputs_size(); ++j) {
      TfLiteTensor* input = interpreter.input(j);
      std::memcpy(input->data.raw, given, input->bytes);
      given += input->bytes;
    }
    if (interpreter.Invoke() != kTfLiteOk) {
      MicroPrintf("Example %d does not run.", i);
      return -1;
    }
    const std::uint8_t* expected = kExpected[i];
    for (std::size_t j = 0; j < interpreter.outputs_size(); ++j) {
      const TfLiteTensor* output = interpreter.output(j);
      for (std::size_t k = 0; k < output->bytes; ++k, ++expected) {
        const int got = static_cast<std::uint8_t>(output->data.raw[k]);
        if (got == *expected) continue;
        ++differing;
        MicroPrintf("Example %d, output %d, byte %d: %d instead of %d.", i,
                    static_cast<int>(j), static_cast<int>(k), got, *expected);
      }
    }
  }
  return differing;
}

}  // namespace $namespace
