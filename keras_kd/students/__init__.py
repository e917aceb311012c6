"""Student models, each ending in logits.

`shrink` derives a smaller model from a teacher; the other functions are
families, `family(input_shape, num_classes, width=1.0, ...)`, each in a file
of its own. Any other `keras.Model` can be a student too.
"""

from keras_kd.students.convnet import convnet
from keras_kd.students.mlp import mlp
from keras_kd.students.resnet import resnet
from keras_kd.students.shrink import shrink

__all__ = ["convnet", "mlp", "resnet", "shrink"]
