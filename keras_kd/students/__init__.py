"""Student models, each ending in logits.

`shrink` derives a smaller model from a teacher; the other functions are
families, `family(input_shape, num_classes, width=1.0, ...)`, each in a file
of its own. Any other `keras.Model` can be a student too.
"""

from keras_kd.students.convnet import convnet
from keras_kd.students.ds_cnn import ds_cnn
from keras_kd.students.mlp import mlp
from keras_kd.students.mobilenet_v2 import mobilenet_v2
from keras_kd.students.mobilenet_v3 import mobilenet_v3
from keras_kd.students.resnet import resnet
from keras_kd.students.shrink import shrink
from keras_kd.students.shufflenet_v2 import shufflenet_v2
from keras_kd.students.text_cnn import text_cnn
from keras_kd.students.text_transformer import text_transformer
from keras_kd.students.vgg import vgg
from keras_kd.students.wide_resnet import wide_resnet

__all__ = [
    "convnet",
    "ds_cnn",
    "mlp",
    "mobilenet_v2",
    "mobilenet_v3",
    "resnet",
    "shrink",
    "shufflenet_v2",
    "text_cnn",
    "text_transformer",
    "vgg",
    "wide_resnet",
]
