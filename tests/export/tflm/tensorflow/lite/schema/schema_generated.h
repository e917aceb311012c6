// A stand-in for the header of that name in TensorFlow Lite.
#pragma once

namespace tflite {

struct Model;
inline const Model* GetModel(const void* bytes) {
  return static_cast<const Model*>(bytes);
}

}  // namespace tflite
