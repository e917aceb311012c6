// The bytes of model.tflite. Written by keras-kd; export again to change it.
#include "model.h"

namespace $namespace {

alignas(16) const unsigned char kModel[kModelSize] = {
$model_bytes
};

}  // namespace $namespace
