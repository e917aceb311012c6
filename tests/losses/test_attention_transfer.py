"""Attention transfer, restated one map at a time."""

import numpy as np
import pytest
from loss_references import STUDENT_MAPS
from loss_references import TEACHER_MAPS
from loss_references import check_golden
from loss_references import check_reference
from loss_references import number
from loss_references import reference_cases
from loss_rows import Row

from keras_kd.losses import AttentionTransfer

RNG = np.random.default_rng(201)
TEACHER = RNG.normal(size=(6, 4, 5, 3))
STUDENT = RNG.normal(size=(6, 4, 5, 2))


def attention(example, exponent=2):
    mean = (example**exponent).mean(-1).ravel()
    return mean / np.linalg.norm(mean)


def transferred(teacher, student, labels):
    pairs = zip(teacher, student, strict=True)
    return np.array(
        [((attention(s) - attention(t)) ** 2).mean() for t, s in pairs]
    )


CONTRACT = Row(AttentionTransfer, transferred, teacher=TEACHER, student=STUDENT)


@pytest.mark.parametrize(
    ("teacher", "value", "norm"),
    [
        (TEACHER_MAPS, 0.00207199, 0.00084569),
        (TEACHER_MAPS[:, :4, :4], 0.01129174, 0.00413080),
    ],
    ids=["equal sizes", "a smaller teacher"],
)
def test_golden_values(teacher, value, norm):
    check_golden(AttentionTransfer(), teacher, STUDENT_MAPS, value, norm)


@pytest.mark.parametrize("case", reference_cases("at"))
def test_reference(case):
    exponent = int(number(case, "p"))
    loss = AttentionTransfer(exponent, data_format="channels_first")
    check_reference(case, loss, "features")


def test_the_format_of_the_data_changes_nothing():
    last = AttentionTransfer()(TEACHER, STUDENT).numpy()
    first = AttentionTransfer(data_format="channels_first")(
        np.moveaxis(TEACHER, -1, 1), np.moveaxis(STUDENT, -1, 1)
    ).numpy()
    np.testing.assert_array_equal(first, last)


def test_sequences_have_positions_too():
    found = AttentionTransfer()(TEACHER[:, 0], STUDENT[:, 0]).numpy()
    exact = transferred(TEACHER[:, 0], STUDENT[:, 0], None)
    assert found == pytest.approx(exact, rel=1e-10)


def test_features_without_positions_are_refused():
    with pytest.raises(ValueError, match="`teacher_layer` to be a layer of m"):
        AttentionTransfer()(TEACHER[:, 0, 0], STUDENT[:, 0, 0])
    with pytest.raises(ValueError, match="as many as the student's"):
        AttentionTransfer()(TEACHER, STUDENT[:, 0])
    with pytest.raises(ValueError, match="`data_format` to be"):
        AttentionTransfer(data_format="nhwc")


def test_maps_are_pooled_to_a_single_position():
    """Keras' own adaptive pooling fails there."""
    maps = RNG.normal(size=(3, 4, 1, 2))
    loss = AttentionTransfer()
    pooled = maps.mean(1, keepdims=True)
    small = RNG.normal(size=(3, 1, 1, 2))
    np.testing.assert_allclose(loss(maps, small), loss(pooled, small))
