"""Neuron selectivity, restated one pair of channels at a time."""

import numpy as np
import pytest
from loss_references import STUDENT_MAPS
from loss_references import TEACHER_MAPS
from loss_references import check_golden
from loss_references import check_reference
from loss_references import reference_cases
from loss_rows import Row

from keras_kd.losses import NeuronSelectivity

RNG = np.random.default_rng(202)
TEACHER = RNG.normal(size=(6, 3, 2, 4))
STUDENT = RNG.normal(size=(6, 3, 2, 2))


def channels(example):
    vectors = np.moveaxis(example, -1, 0).reshape(example.shape[-1], -1)
    return [vector / np.linalg.norm(vector) for vector in vectors]


def kernel(one, other):
    return np.mean([np.dot(a, b) ** 2 for a in one for b in other])


def selected(teacher, student, labels):
    values = []
    for one, other in zip(teacher, student, strict=True):
        t, s = channels(one), channels(other)
        values.append(kernel(t, t) + kernel(s, s) - 2 * kernel(s, t))
    return np.array(values)


CONTRACT = Row(NeuronSelectivity, selected, teacher=TEACHER, student=STUDENT)


def test_golden_values():
    check_golden(
        NeuronSelectivity(), TEACHER_MAPS, STUDENT_MAPS, 0.62712639, 0.02552882
    )


@pytest.mark.parametrize("case", reference_cases("nst"))
def test_reference(case):
    loss = NeuronSelectivity(data_format="channels_first")
    check_reference(case, loss, "features")


def test_channels_in_another_order_are_the_same():
    values = NeuronSelectivity()(TEACHER, TEACHER[..., ::-1]).numpy()
    assert abs(values).max() < 1e-12
