"""What holds for every distillation loss: one row, every invariant.

The row of a loss stands in its own test file, as `CONTRACT`; the toy losses
of `test_toys.py` give the kinds that no method of the package has yet.
"""

import importlib.util
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_kd import losses


def rows():
    """Yield the rows of every test file beside this one."""
    for path in sorted(Path(__file__).parent.glob("test_*.py")):
        if path != Path(__file__) and "\nCONTRACT" in path.read_text():
            # Under pytest's own name, or the toys would be registered twice.
            name = f"tests.losses.{path.stem}"
            if name not in sys.modules:
                spec = importlib.util.spec_from_file_location(name, path)
                sys.modules[name] = importlib.util.module_from_spec(spec)
                spec.loader.exec_module(sys.modules[name])
            found = sys.modules[name].CONTRACT
            yield from found if isinstance(found, list) else [found]


ROWS = {}
for each in rows():
    key = losses.base.snake_case(each.cls.__name__)
    ROWS[f"{key} {len(ROWS)}" if key in ROWS else key] = each
LOGITS = [name for name, row in ROWS.items() if row.make().reads == "logits"]


def shifted(structure, by):
    return keras.tree.map_structure(lambda leaf: leaf + by, structure)


def picked(structure, rows):
    return keras.tree.map_structure(lambda leaf: leaf[rows], structure)


def gradients(loss, row, teacher=None, student=None):
    inputs = keras.tree.map_structure(
        tf.constant,
        (
            row.teacher if teacher is None else teacher,
            row.student if student is None else student,
        ),
    )
    with tf.GradientTape() as tape:
        for leaf in keras.tree.flatten(inputs):
            tape.watch(leaf)
        total = tf.reduce_sum(loss(*inputs, row.labels))
    return tape.gradient(total, inputs)


@pytest.fixture(params=ROWS)
def row(request):
    return ROWS[request.param]


@pytest.fixture(params=LOGITS)
def logits_row(request):
    return ROWS[request.param]


def test_every_method_has_a_row():
    assert set(losses.METHODS) <= set(ROWS)


def test_value_equals_numpy_float64(row):
    loss = row.make()
    got = loss.per_position(row.teacher, row.student, row.labels)
    exact = row.exact(loss)
    assert got.shape == exact.shape
    assert got.shape[0] == len(row.labels)
    # Weights are float32 everywhere.
    tolerance = 1e-5 if loss.weights else 1e-10
    assert got.numpy() == pytest.approx(exact, rel=tolerance)
    if not loss.weights:
        assert got.dtype == tf.float64


def test_one_float32_value_per_example(row):
    loss = row.make()
    size = len(row.labels)
    for dtype, accuracy in (("float32", 1e-5), ("float16", 2e-2)):
        inputs = keras.tree.map_structure(
            lambda leaf, dtype=dtype: leaf.astype(dtype),
            (row.teacher, row.student),
        )
        got = loss(*inputs, row.labels)
        assert got.shape == (size,)
        assert got.dtype == tf.float32
        exact = row.exact(loss).reshape(size, -1).mean(1)
        assert got.numpy() == pytest.approx(exact, rel=accuracy)


def test_positions_are_averaged(logits_row):
    row, loss = logits_row, logits_row.make()
    if loss.uses_batch:
        pytest.skip("a relation of examples has no positions")
    teacher = np.stack([row.teacher, row.student[::-1]], 1)
    student = np.stack([row.student, row.teacher], 1)
    labels = np.stack([row.labels, row.labels[::-1]], 1)
    exact = row.exact(loss, teacher, student, labels)
    assert exact.shape == (6, 2)
    got = loss.per_position(teacher, student, labels).numpy()
    assert got == pytest.approx(exact)
    mean = loss(teacher, student, labels).numpy()
    assert mean == pytest.approx(exact.mean(1))


def test_teacher_is_the_minimum(row):
    loss = row.make()
    if not row.has_minimum or loss.weights:
        return  # its adapter is not the identity
    same = loss(row.teacher, row.teacher, row.labels).numpy()
    assert same == pytest.approx(np.zeros_like(same), abs=1e-12)
    for index in range(5):
        noise = np.random.default_rng(index)
        moved = keras.tree.map_structure(
            lambda leaf, noise=noise: leaf + noise.normal(size=leaf.shape),
            row.teacher,
        )
        assert (loss(row.teacher, moved, row.labels).numpy() > same).all()


def test_extreme_logits_are_finite_and_the_wrong_student_has_a_slope(
    logits_row,
):
    if logits_row.cls.uses_batch:
        pytest.skip("one example has no relation to others")
    loss = logits_row.make()
    teacher = np.full((1, 5), -1e4, "float32")
    student = teacher.copy()
    teacher[0, 1] = student[0, 3] = 1e4
    value = loss(teacher, student).numpy()
    with tf.GradientTape() as tape:
        watched = tf.constant(student)
        tape.watch(watched)
        total = tf.reduce_sum(loss(teacher, watched))
    slope = tape.gradient(total, watched).numpy()
    assert np.isfinite(value).all()
    assert np.isfinite(slope).all()
    if logits_row.bounded:
        return
    assert value[0] > 1
    assert slope[0, 3] > 0.1
    assert slope[0, 1] < -0.1


def test_no_gradient_reaches_the_teacher(row):
    teacher, student = gradients(row.make(), row)
    assert all(leaf is None for leaf in keras.tree.flatten(teacher))
    slopes = [
        np.abs(leaf.numpy()).max() for leaf in keras.tree.flatten(student)
    ]
    assert min(slopes) > 1e-3


def test_gradient_equals_central_differences(row):
    loss = row.make()
    _, slopes = gradients(loss, row)
    steps = keras.tree.map_structure(
        lambda leaf: 1e-5 * np.random.default_rng(1).normal(size=leaf.shape),
        row.student,
    )
    up, down = (
        keras.tree.map_structure(
            lambda leaf, step, sign=sign: leaf + sign * step, row.student, steps
        )
        for sign in (1, -1)
    )
    size = len(row.labels)
    rise, fall = (
        row.exact(loss, row.teacher, moved).reshape(size, -1).mean(1).sum()
        for moved in (up, down)
    )
    along = sum(
        (slope.numpy() * step).sum()
        for slope, step in zip(
            keras.tree.flatten(slopes), keras.tree.flatten(steps), strict=True
        )
    )
    tolerance = 1e-4 if loss.weights else 1e-6
    assert along * 2 == pytest.approx(rise - fall, rel=tolerance)


def test_batch_of_n_is_n_batches_of_one(row):
    loss = row.make()
    together = loss(row.teacher, row.student, row.labels).numpy()[:2]
    alone = np.array(
        [
            loss(
                picked(row.teacher, slice(i, i + 1)),
                picked(row.student, slice(i, i + 1)),
                row.labels[i : i + 1],
            )[0]
            for i in range(2)
        ]
    )
    assert np.allclose(together, alone, rtol=1e-6) != loss.uses_batch


def test_a_graph_of_any_batch_gives_the_same(row):
    loss = row.make()
    exact = loss(row.teacher, row.student, row.labels).numpy()
    open_batch = keras.tree.map_structure(
        lambda leaf: tf.TensorSpec((None, *leaf.shape[1:]), leaf.dtype),
        [row.teacher, row.student, row.labels],
    )
    graph = tf.function(lambda t, s, y: loss(t, s, y), open_batch)
    got = graph(row.teacher, row.student, row.labels).numpy()
    tolerance = 1e-10 if got.dtype == "float64" else 1e-6
    assert got == pytest.approx(exact, rel=tolerance)


def test_shift_and_class_order(logits_row):
    row, loss = logits_row, logits_row.make()
    value = loss(row.teacher, row.student, row.labels).numpy()
    moved = loss(
        shifted(row.teacher, 3.0), shifted(row.student, -2.0), row.labels
    )
    assert np.allclose(value, moved.numpy()) == row.shift_invariant
    order = np.random.default_rng(2).permutation(5)
    turned = loss(
        row.teacher[:, order],
        row.student[:, order],
        np.argsort(order)[row.labels],
    )
    assert turned.numpy() == pytest.approx(value, rel=1e-12)


def test_config_round_trip(row):
    ramp = keras.optimizers.schedules.PolynomialDecay(2.0, 10, 0.5)
    made = row.make(weight=ramp, name="mine", output="a")
    config = keras.saving.serialize_keras_object(made)
    again = keras.saving.deserialize_keras_object(config)
    assert type(again) is type(made)
    assert (again.name, again.output_name) == ("mine", "a")
    assert float(again.weight(10)) == 0.5
    assert again.get_config() == made.get_config()
    assert row.make().name == losses.base.snake_case(row.cls.__name__)


def test_class_counts_must_agree(logits_row):
    if logits_row.any_widths:
        return
    with pytest.raises(
        ValueError, match=r"the same classes.*\(6, 5\).*\(6, 4\)"
    ):
        logits_row.make()(logits_row.teacher, logits_row.student[:, :4])


def test_kind_reads_and_weight(row):
    assert row.cls.kind in ("logit", "feature", "relation")
    assert row.cls.reads in ("logits", "layers", "both")
    assert row.make().weight == 1.0
    with pytest.raises(ValueError, match="`weight` to be .* at least 0"):
        row.make(weight=-1.0)
