"""ReviewKD, restated with the loss's own weights."""

import re

import keras
import numpy as np
import pytest
from loss_references import STUDENT_MAPS
from loss_references import TEACHER_MAPS
from loss_references import check_golden
from loss_references import check_reference
from loss_references import reference_cases
from loss_rows import Row

import keras_kd
from keras_kd.losses import ReviewKD

RNG = np.random.default_rng(205)
TEACHER = RNG.normal(size=(6, 5, 3, 4))
STUDENT = RNG.normal(size=(6, 5, 3, 4))
TEACHERS = [RNG.normal(size=(6, *s)) for s in ((6, 5, 3), (2, 4, 5), (7,))]
STUDENTS = [RNG.normal(size=(6, *s)) for s in ((6, 5, 2), (4, 2, 3), (4,))]


def pooled(maps, size):
    """Average-pool with PyTorch's windows, which may overlap."""
    windows = [
        [
            slice(i * length // size, -((i + 1) * length // -size))
            for i in range(size)
        ]
        for length in maps.shape[1:3]
    ]
    return np.array(
        [[maps[:, h, w].mean((1, 2)) for w in windows[1]] for h in windows[0]]
    ).transpose(2, 0, 1, 3)


def hierarchical(teacher, student, labels=None):
    total = ((teacher - student) ** 2).mean((1, 2, 3))
    weight = weights = 1
    for size in (4, 2, 1):
        if size < teacher.shape[1]:
            weight /= 2
            weights += weight
            gap = pooled(teacher, size) - pooled(student, size)
            total = total + weight * (gap**2).mean((1, 2, 3))
    return total / weights


def resized(maps, sizes):
    rows, columns = (
        np.arange(size) * given // size
        for size, given in zip(sizes, maps.shape[1:3], strict=True)
    )
    return maps[:, rows][:, :, columns]


def convolved(maps, kernel):
    """Convolve; the batch normalization is that of an untrained one."""
    pad = len(kernel) // 2
    wide = np.pad(maps, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    height, width = maps.shape[1:3]
    return sum(
        wide[:, i : i + height, j : j + width] @ kernel[i, j]
        for i in range(len(kernel))
        for j in range(len(kernel))
    )


def reviewed(teacher, student, labels, loss):
    found = [w for w in loss.weights if w.name in ("kernel", "bias")]
    found.sort(key=lambda w: int("0" + re.sub("conv2d|[^0-9]", "", w.path)))
    kernels = [np.asarray(w, "float64") for w in found]
    scale = 1 / np.sqrt(1 + 1e-5)
    maps, targets = (
        [x if x.ndim == 4 else x[:, None, None] for x in each]
        for each in (student, teacher)
    )
    total = deeper = 0
    for place in (2, 1, 0):
        x = scale * convolved(maps[place], kernels.pop(0))
        if place < 2:
            deeper = resized(deeper, x.shape[1:3])
            both = np.concatenate([x, deeper], -1)
            logits = convolved(both, kernels.pop(0)) + kernels.pop(0)
            share = 1 / (1 + np.exp(-logits))
            x = x * share[..., :1] + deeper * share[..., 1:]
        deeper = resized(x, targets[place].shape[1:3])
        made = scale * convolved(deeper, kernels.pop(0))
        total = total + hierarchical(targets[place], made)
    return total


CONTRACT = [
    Row(ReviewKD, hierarchical, teacher=TEACHER, student=STUDENT),
    Row(
        ReviewKD,
        reviewed,
        {"fusion": True},
        teacher=TEACHERS,
        student=STUDENTS,
        has_minimum=False,
    ),
]


def test_golden_value():
    check_golden(ReviewKD(), TEACHER_MAPS, STUDENT_MAPS, 0.72415384, 0.04070189)


@pytest.mark.parametrize("case", reference_cases("reviewkd_hcl"))
def test_reference(case):
    check_reference(case, ReviewKD(data_format="channels_first"), "features")


def test_the_format_of_the_data_changes_nothing():
    last = ReviewKD(fusion=True)
    expected = last(TEACHERS, STUDENTS).numpy()
    first = ReviewKD(fusion=True, data_format="channels_first")
    maps = [[np.moveaxis(x, -1, 1) for x in m] for m in (TEACHERS, STUDENTS)]
    first(*maps)
    first.set_weights(last.get_weights())
    np.testing.assert_array_equal(first(*maps).numpy(), expected)


@pytest.mark.eager
def test_the_fusion_is_trained_and_saved_and_no_part_of_the_student(tmp_path):
    def model(filters):
        return keras.Sequential(
            [
                keras.Input((4, 4, 1)),
                keras.layers.Conv2D(filters, 3, name="maps"),
                keras.layers.GlobalAveragePooling2D(name="pool"),
                keras.layers.Dense(2),
            ]
        )

    layers = ["maps", "pool"]
    loss = ReviewKD(teacher_layer=layers, student_layer=layers)
    student = model(2)
    distiller = keras_kd.Distiller(model(4), student, loss, alpha=1.0)
    distiller.compile(keras.optimizers.Adam(0.01))
    before = loss.get_weights()
    distiller.fit(RNG.normal(size=(8, 4, 4, 1)), verbose=0)
    after = loss.get_weights()
    assert all(
        np.any(old != new) for old, new in zip(before, after, strict=True)
    )
    distiller.save(tmp_path / "distiller.keras")
    loaded = keras.models.load_model(tmp_path / "distiller.keras")
    (restored,) = loaded.distillation_losses
    for one, other in zip(restored.get_weights(), after, strict=True):
        np.testing.assert_array_equal(one, other)
    assert student.count_params() == model(2).count_params()


def test_shapes_that_do_not_fit():
    with pytest.raises(ValueError, match=r"`fusion` to be True.*\(6, 5, 3, 3"):
        ReviewKD()(TEACHER, STUDENT[..., :3])
    with pytest.raises(ValueError, match=r"fixed size.*\(6, 5, 3\)"):
        ReviewKD()(TEACHER[..., 0], STUDENT[..., 0])
    open_maps = keras.KerasTensor((None, None, None, 3))
    with pytest.raises(ValueError, match=r"fixed size.*\(None, None, None, 3"):
        ReviewKD(fusion=True)(open_maps, open_maps)
