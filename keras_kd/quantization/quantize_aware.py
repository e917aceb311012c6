"""A student that trains with the arithmetic of its int8 file."""

import keras

from keras_kd.quantization.rewrite import Rewriter
from keras_kd.quantization.rewrite import Settings

def quantize_aware(student, *, weights="per_channel", activations="moving_range", delay=0, momentum=0.99):
    rewriter = Rewriter(Settings(weights=="per_channel", activations=="learned_step", delay, momentum))
    m = rewriter.model(student)
    if rewriter.left_float: print("FLOAT", rewriter.left_float)
    return m
