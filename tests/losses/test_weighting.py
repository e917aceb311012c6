"""Which examples count, restated in NumPy and followed through `fit`."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from restated import class_balance
from restated import log_softmax
from restated import soft_targets

import keras_kd
from keras_kd.core.taps import Tapped
from keras_kd.distiller.factors import checked_logits
from keras_kd.losses import ClassBalance
from keras_kd.losses import Hint
from keras_kd.losses import LogitsMSE
from keras_kd.losses import SoftTargets
from keras_kd.losses import weighting

pytestmark = pytest.mark.eager

RNG = np.random.default_rng(7)
LOGITS = 3 * RNG.normal(size=(6, 5))
LABELS = np.array([0, 4, -1, 2, 1, 3], "int32")
X = RNG.normal(size=(12, 4)).astype("float32")
Y = np.array([0, 1, 2, -1] * 3)
COUNTS = [900, 90, 9]
CROSS_ENTROPY = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


@keras.saving.register_keras_serializable("test_weighting")
def margin(teacher_logits, labels):
    """A function of a user."""
    top = keras.ops.top_k(teacher_logits, 2)[0]
    return top[..., 0] - top[..., 1]


def exact(kind, logits, labels):
    log_p = log_softmax(logits)
    if kind == "teacher_confidence":
        return np.exp(log_p).max(-1)
    if kind == "teacher_correct":
        return np.where(labels < 0, 1.0, logits.argmax(-1) == labels)
    if kind == "entropy":
        entropy = -(np.exp(log_p) * log_p).sum(-1)
        return 1 - entropy / np.log(logits.shape[-1])
    ordered = np.sort(logits, -1)
    return ordered[..., -1] - ordered[..., -2]


KINDS = ["teacher_confidence", "teacher_correct", "entropy", margin]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind}"[:20])
def test_factors_equal_numpy(kind):
    loss = SoftTargets(weighting=kind)
    got = weighting.factors(loss, LOGITS, tf.constant(LABELS)).numpy()
    assert got == pytest.approx(exact(kind, LOGITS, LABELS), rel=1e-6)
    tokens = np.stack([LOGITS, -LOGITS], 1)
    named = np.stack([LABELS, LABELS[::-1]], 1)
    got = weighting.factors(loss, tokens, tf.constant(named)).numpy()
    assert got == pytest.approx(exact(kind, tokens, named), rel=1e-6)


@pytest.mark.parametrize("kind", KINDS[:3])
def test_extreme_and_masked_logits_give_factors_from_0_to_1(kind):
    logits = np.array(
        [[1e4, -1e4, 0], [0, 0, 0], [-np.inf, 2, 1], [5, -np.inf, -np.inf]],
        "float32",
    )
    got = weighting.factors(
        SoftTargets(weighting=kind), logits, tf.constant([0, 1, 1, 0])
    ).numpy()
    assert ((got >= 0) & (got <= 1 + 1e-6)).all()
    if kind == "entropy":
        assert got[[0, 1, 3]] == pytest.approx([1, 0, 1], abs=1e-6)


def test_a_direct_call_returns_the_values_without_the_factors():
    loss = SoftTargets(weighting="entropy", class_balance=[1, 2, 3, 4, 5])
    plain = SoftTargets()(LOGITS, -LOGITS, LABELS).numpy()
    assert loss(LOGITS, -LOGITS, LABELS).numpy() == pytest.approx(plain)


def test_factors_of_positions_count_there_or_by_their_mean():
    factor = tf.constant([[1.0, 3.0], [0.0, 2.0]])
    positions = weighting.weighted(tf.ones((2, 2)), factor).numpy()
    assert positions.tolist() == factor.numpy().tolist()
    assert weighting.weighted(tf.ones(2), factor).numpy().tolist() == [2, 1]
    wide = weighting.weighted(tf.ones((2, 3)), factor).numpy()
    assert wide.tolist() == [[2] * 3, [1] * 3]


def model(width, seed, outputs=("a",)):
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((4,))
    hidden = keras.layers.Dense(width, "tanh", name="hidden")(inputs)
    made = {n: keras.layers.Dense(3, name=n)(hidden) for n in outputs}
    return keras.Model(inputs, made if len(outputs) > 1 else made["a"])


def distil(teacher, loss, student=None, **settings):
    student = model(5, 2) if student is None else student
    distiller = keras_kd.Distiller(teacher, student, loss, alpha=0.5)
    distiller.compile(keras.optimizers.SGD(0.0), CROSS_ENTROPY, **settings)
    return distiller


def hidden(network):
    layer = network.get_layer("hidden")
    return keras.Model(network.inputs[0], layer.output)(X).numpy()


@pytest.mark.parametrize("source", ["live", "cached", "joined"])
def test_fit_logs_the_weighted_means(source, tmp_path):
    teacher, student = model(5, 1), model(5, 2)
    given, data = teacher, X
    if source != "live":
        given = keras_kd.TeacherCache.build(
            tmp_path, teacher, X, dtype="float32", layers=["hidden"], verbose=0
        )
        data = given.join(X)
    layers = {"teacher_layer": "hidden", "student_layer": "hidden"}
    losses = [
        SoftTargets(weighting=kind, class_balance=COUNTS, name=f"soft_{n}")
        for n, kind in enumerate(KINDS)
    ]
    losses += [
        Hint(**layers, weighting=kind, name=f"hint_{n}")
        for n, kind in enumerate(KINDS)
    ]
    losses.append(Hint(**layers, class_balance=COUNTS, name="balanced"))
    losses.append(LogitsMSE(name="plain"))
    distiller = distil(given if source != "joined" else None, losses, student)
    logs = distiller.fit(data, Y, batch_size=12, verbose=0).history
    taught, learned = (
        network(X).numpy().astype("float64") for network in (teacher, student)
    )
    balance = class_balance(COUNTS, 0.999, Y)
    gap = np.square(hidden(teacher) - hidden(student)).mean(-1)
    expected = {
        "balanced": gap * balance,
        "plain": np.square(taught - learned),
        "student_loss": -log_softmax(learned)[Y >= 0, Y[Y >= 0]],
    }
    for n, kind in enumerate(KINDS):
        factor = exact(kind, taught, Y)
        divergence = soft_targets(taught, learned, 4.0)
        expected[f"soft_{n}"] = divergence * factor * balance
        expected[f"hint_{n}"] = gap * factor
    for name, values in expected.items():
        assert logs[name][0] == pytest.approx(values.mean(), rel=1e-4), name


def test_padded_positions_count_neither_in_the_sum_nor_in_the_count():
    def tagger(seed):
        keras.utils.set_random_seed(seed)
        inputs = keras.Input((4,), dtype="int32")
        embedding = keras.layers.Embedding(5, 6, mask_zero=True)
        return keras.Model(inputs, keras.layers.Dense(3)(embedding(inputs)))

    teacher, student = tagger(1), tagger(2)
    x = np.array([[1, 2, 0, 0], [3, 0, 0, 0]], "int32")
    y = np.array([[0, 1, 2, 2], [-1, 0, 0, 0]])
    losses = [
        SoftTargets(weighting=kind, name=f"soft_{n}")
        for n, kind in enumerate(KINDS)
    ]
    logs = distil(teacher, losses, student).fit(x, y, verbose=0).history
    taught, learned = (
        network(x).numpy().astype("float64")[x > 0]
        for network in (teacher, student)
    )
    for n, kind in enumerate(KINDS):
        factor = exact(kind, taught, y[x > 0])
        mean = (soft_targets(taught, learned, 4.0) * factor).mean()
        assert logs[f"soft_{n}"][0] == pytest.approx(mean, rel=1e-4)


def test_it_is_saved_and_loaded(tmp_path):
    balance = ClassBalance(COUNTS, 0.9)
    loss = SoftTargets(weighting=margin, class_balance=balance)
    distiller = distil(model(5, 1), loss)
    distiller.save(tmp_path / "distiller.keras")
    again = keras.models.load_model(tmp_path / "distiller.keras")
    (loaded,) = again.distillation_losses
    assert loaded.weighting is margin
    assert loaded.class_balance.factors == balance.factors
    again.teacher = model(5, 1)
    logs = [d.fit(X, Y, verbose=0).history for d in (distiller, again)]
    assert logs[0]["soft_targets"] == pytest.approx(logs[1]["soft_targets"])


def test_a_function_must_be_registered_to_be_saved(tmp_path):
    path = tmp_path / "distiller.keras"
    path.write_text("an older file")
    loss = SoftTargets(weighting=lambda logits, labels: labels)
    with pytest.raises(ValueError, match="`weighting` to be a registered f"):
        distil(model(5, 1), loss).save(path)
    assert path.read_text() == "an older file"


@pytest.mark.parametrize(
    ("factor", "eagerly"),
    [
        (-1.0, True),
        (np.nan, True),
        (np.inf, True),
        pytest.param(-1.0, False, marks=pytest.mark.slow),
    ],
)
def test_factors_that_are_not_allowed_stop_the_step(factor, eagerly):
    loss = SoftTargets(weighting=lambda logits, labels: logits[:, 0] * factor)
    distiller = distil(model(5, 1), loss, run_eagerly=eagerly)
    before = distiller.student.get_weights()
    with pytest.raises(ValueError, match="return finite factors of at least 0"):
        distiller.fit(X, Y, verbose=0)
    for one, other in zip(before, distiller.student.get_weights(), strict=True):
        assert np.array_equal(one, other)


def test_factors_of_a_wrong_shape_are_refused():
    loss = SoftTargets(weighting=lambda logits, labels: logits)
    with pytest.raises(
        ValueError, match=r"`\(batch,\)`.*shape \((12|None), 3\)"
    ):
        distil(model(5, 1), loss).fit(X, Y, verbose=0)


@pytest.mark.parametrize(
    "arguments", [{"weighting": "teacher_correct"}, {"class_balance": COUNTS}]
)
def test_labels_are_asked_for(arguments):
    distiller = keras_kd.Distiller(
        model(5, 1), model(5, 2), SoftTargets(**arguments), alpha=1.0
    )
    distiller.compile("sgd")
    with pytest.raises(ValueError, match="needs labels for `"):
        distiller.fit(X, verbose=0)


@pytest.mark.slow
def test_xla_gives_the_same_and_stops_at_nan():
    logs = [
        distil(model(5, 1), SoftTargets(weighting=margin), jit_compile=jit)
        .fit(X, Y, verbose=0)
        .history["soft_targets"]
        for jit in (True, False)
    ]
    assert logs[0] == pytest.approx(logs[1], rel=1e-5)
    loss = SoftTargets(weighting=lambda logits, labels: -(logits[:, 0] ** 2))
    with pytest.raises(FloatingPointError, match="`soft_targets` became NaN"):
        distil(model(5, 1), loss, jit_compile=True).fit(X, Y, verbose=0)


def test_a_teacher_without_logits_is_refused():
    logits = keras.KerasTensor((None, 3))
    models = Tapped(None, None, {}), Tapped(logits, logits, {})
    layers = {"teacher_layer": "hidden", "student_layer": "hidden"}
    with pytest.raises(ValueError, match="needs the teacher's logits for `we"):
        checked_logits(Hint(**layers, weighting="entropy"), None, models, {})
    loss = Hint(**layers, class_balance=COUNTS)
    assert checked_logits(loss, None, models, {}) is None


def test_the_output_must_be_known():
    two = model(5, 1, "ab"), model(5, 2, "ab")
    layers = {"teacher_layer": "hidden", "student_layer": "hidden"}
    with pytest.raises(ValueError, match="`output` to name the output"):
        keras_kd.Distiller(*two, Hint(**layers, weighting="entropy"))
    keras_kd.Distiller(*two, Hint(**layers, weighting="entropy", output="b"))


def test_an_output_of_classes_is_needed():
    with pytest.raises(ValueError, match="of the 3 classes. Received: 2 c"):
        distil(model(5, 1), SoftTargets(class_balance=[5, 6]))
    numbers = {"student_output": "numbers", "teacher_output": "numbers"}
    for arguments in ({"weighting": "entropy"}, {"class_balance": COUNTS}):
        with pytest.raises(ValueError, match="needs an output of classes for"):
            keras_kd.Distiller(
                model(5, 1), model(5, 2), LogitsMSE(**arguments), **numbers
            )
    keras_kd.Distiller(
        model(5, 1), model(5, 2), LogitsMSE(weighting=margin), **numbers
    )


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"weighting": "entropie"}, "Did you mean 'entropy'?"),
        ({"weighting": 3}, "or a function of the teacher's logits"),
    ],
    ids=str,
)
def test_bad_arguments(arguments, expected):
    with pytest.raises(ValueError, match=expected):
        SoftTargets(**arguments)
