"""Student models, each ending in logits.

`shrink` derives a smaller model from a teacher, and `with_teacher_head` ends a
student in its teacher's classifier. The other functions build
published architectures, called families here, with the signature
`family(input_shape, num_classes, width=1.0, ...)`. Any other `keras.Model` can
be a student too.
"""

from keras_kd.core import tensorflow_only  # noqa: F401
from keras_kd.students.families.convnet import convnet
from keras_kd.students.families.ds_cnn import ds_cnn
from keras_kd.students.families.mlp import mlp
from keras_kd.students.families.mobilenet_v2 import mobilenet_v2
from keras_kd.students.families.mobilenet_v3 import mobilenet_v3
from keras_kd.students.families.resnet import resnet
from keras_kd.students.families.shufflenet_v2 import shufflenet_v2
from keras_kd.students.families.text_cnn import text_cnn
from keras_kd.students.families.text_transformer import text_transformer
from keras_kd.students.families.vgg import vgg
from keras_kd.students.families.wide_resnet import wide_resnet
from keras_kd.students.shrinking.shrink import shrink
from keras_kd.students.teacher_head import with_teacher_head

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
    "with_teacher_head",
]
