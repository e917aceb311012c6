// A program around a bundle: it tells what was compiled, and runs the README's
// Start() on an interpreter that looks the answers up in a file.
#include <cstdarg>
#include <cstdio>
#include <cstring>

#include "model.h"
#include "model_info.h"
#include "model_operators.h"
#include "tensorflow/lite/micro/micro_interpreter.h"

int Start();

namespace bundle = NAMESPACE;

namespace {

// Examples: the bytes of the inputs, then those of the outputs.
char answers[1 << 20];
std::size_t answers_size;
char values[1 << 16];
TfLiteTensor inputs[8];
TfLiteTensor outputs[8];
std::size_t inputs_bytes;
std::size_t outputs_bytes;

// Gives each tensor its part of `values`; returns the bytes of all.
template <std::size_t count>
std::size_t Make(const bundle::TensorInfo (&infos)[count],
                 TfLiteTensor* tensors, char* at) {
  char* const begin = at;
  for (std::size_t i = 0; i < count; ++i) {
    std::size_t bytes = std::strstr(infos[i].type, "32") != nullptr ? 4 : 1;
    for (int j = 0; j < infos[i].rank; ++j) bytes *= infos[i].shape[j];
    tensors[i] = {{at}, bytes};
    at += bytes;
  }
  return at - begin;
}

}  // namespace

void MicroPrintf(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  std::vprintf(format, arguments);
  va_end(arguments);
  std::printf("\n");
}

namespace tflite {

MicroInterpreter::MicroInterpreter(const Model* model,
                                   const MicroOpResolver& resolver,
                                   std::uint8_t*, std::size_t arena_size) {
  const auto address = reinterpret_cast<std::uintptr_t>(model);
  std::printf("aligned=%d\narena=%d\noperators=", address % 16 == 0,
              static_cast<int>(arena_size));
  for (unsigned int i = 0; i < resolver.count; ++i) {
    std::printf("%s ", resolver.operators[i]);
  }
  std::printf("\n");
}

TfLiteStatus MicroInterpreter::AllocateTensors() {
  inputs_bytes = Make(bundle::kInputs, inputs, values);
  outputs_bytes = Make(bundle::kOutputs, outputs, values + inputs_bytes);
  return kTfLiteOk;
}

TfLiteStatus MicroInterpreter::Invoke() {
  const char* example = answers;
  for (; example < answers + answers_size;
       example += inputs_bytes + outputs_bytes) {
    if (std::memcmp(example, values, inputs_bytes) != 0) continue;
    std::memcpy(values + inputs_bytes, example + inputs_bytes, outputs_bytes);
    return kTfLiteOk;
  }
  return kTfLiteError;
}

TfLiteTensor* MicroInterpreter::input(std::size_t i) { return &inputs[i]; }
TfLiteTensor* MicroInterpreter::output(std::size_t i) { return &outputs[i]; }
std::size_t MicroInterpreter::inputs_size() const {
  return sizeof(bundle::kInputs) / sizeof(bundle::kInputs[0]);
}
std::size_t MicroInterpreter::outputs_size() const {
  return sizeof(bundle::kOutputs) / sizeof(bundle::kOutputs[0]);
}

}  // namespace tflite

int main(int, char** arguments) {
  std::FILE* file = std::fopen(arguments[1], "rb");
  answers_size = std::fread(answers, 1, sizeof(answers), file);
  std::fclose(file);
  file = std::fopen(arguments[2], "wb");
  std::fwrite(bundle::kModel, 1, sizeof(bundle::kModel), file);
  std::fclose(file);
#ifdef SECOND
  for (const char* label : bundle::kLabels) std::printf("label=%s\n", label);
  std::printf("second=%d\n", static_cast<int>(bundle::SECOND));
#endif
  std::printf("differing=%d\n", Start());
}
