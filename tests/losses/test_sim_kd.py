"""SimKD, and a student that ends in the teacher's classifier."""

import numpy as np
import pytest
from loss_rows import Row

from keras_kd.losses import SimKD

RNG = np.random.default_rng(206)
TEACHER = RNG.normal(size=(6, 4, 2, 3))
STUDENT = RNG.normal(size=(6, 4, 2, 3))


def squared(teacher, student, labels):
    return ((teacher - student) ** 2).mean((1, 2, 3))


CONTRACT = Row(SimKD, squared, teacher=TEACHER, student=STUDENT)
