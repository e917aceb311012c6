"""Numbers, labels and embeddings are distilled as what they are."""

import keras
import numpy as np
import pytest
import restated
from keras import layers

import keras_kd

RNG = np.random.default_rng(0)
X = RNG.normal(size=(24, 4)).astype("float32")
SGD = keras.optimizers.SGD


def model(units, activation=None, **kwargs):
    return keras.Sequential(
        [keras.Input((4,)), layers.Dense(units, activation, **kwargs)]
    )


def logs_of(distiller, y=None, **compiled):
    distiller.compile(SGD(0.0), run_eagerly=True, **compiled)
    data = (X,) if y is None else (X, y)
    history = distiller.fit(*data, batch_size=24, verbose=0).history
    return {name: values[0] for name, values in history.items()}


def outputs_of(distiller):
    return [
        np.asarray(each(X), "float64")
        for each in (distiller.teacher, distiller.student)
    ]


@pytest.mark.parametrize("units", [1, 3])
def test_numbers_are_compared_by_their_squared_error(units):
    distiller = keras_kd.Distiller(model(units), model(units), alpha=0.5)
    y = RNG.normal(size=(24, units))
    logs = logs_of(distiller, y, loss="mse")
    t, s = outputs_of(distiller)
    assert logs["logits_mse"] == pytest.approx(((t - s) ** 2).mean(), rel=1e-5)
    assert logs["student_loss"] == pytest.approx(
        ((y - s) ** 2).mean(), rel=1e-5
    )


def test_one_unit_under_a_binary_crossentropy_is_two_classes():
    distiller = keras_kd.Distiller(
        model(1), model(1), alpha=0.5, temperature=4.0
    )
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    logs = logs_of(distiller, (X[:, :1] > 0).astype("float32"), loss=loss)
    t, s = outputs_of(distiller)
    p, q = (1 / (1 + np.exp(-z / 4)) for z in (t, s))
    kl = p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))
    assert logs["soft_targets"] == pytest.approx(16 * kl.mean(), rel=1e-4)


@pytest.mark.parametrize("told", ["teacher", "student", "compiled"])
def test_from_the_teacher_alone_one_unit_is_told_once(told):
    teacher, student = model(1), model(1)
    arguments = {}
    if told == "compiled":
        teacher.compile("sgd", "mae")
    else:
        arguments[f"{told}_output"] = "numbers"
    distiller = keras_kd.Distiller(teacher, student, alpha=1.0, **arguments)
    assert set(logs_of(distiller)) == {"loss", "logits_mse"}


def test_from_the_teacher_alone_an_open_unit_is_asked_about():
    distiller = keras_kd.Distiller(model(1), model(1), alpha=1.0)
    with pytest.raises(ValueError, match="student_output='numbers'"):
        distiller.compile("sgd")


def test_labels_follow_the_teacher():
    distiller = keras_kd.Distiller(
        model(5, "sigmoid"), model(5), alpha=1.0, temperature=4.0
    )
    logs = logs_of(distiller)
    t, s = outputs_of(distiller)
    p, q = (1 / (1 + np.exp(-z / 4)) for z in (np.log(t / (1 - t)), s))
    kl = p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))
    assert logs["soft_targets"] == pytest.approx(16 * kl.mean(), rel=1e-3)


def test_embeddings_are_compared_by_their_cosine():
    def embedder():
        return keras.Sequential(
            [keras.Input((4,)), layers.Dense(3), layers.UnitNormalization()]
        )

    distiller = keras_kd.Distiller(embedder(), embedder(), alpha=1.0)
    logs = logs_of(distiller)
    t, s = outputs_of(distiller)
    assert logs["hint"] == pytest.approx((1 - (t * s).sum(-1)).mean(), rel=1e-4)


def test_each_output_has_the_loss_that_fits_it():
    def both():
        x = keras.Input((4,))
        return keras.Model(
            x,
            {
                "kind": layers.Dense(3, name="kind")(x),
                "price": layers.Dense(1, name="price")(x),
            },
        )

    distiller = keras_kd.Distiller(both(), both(), alpha=0.5)
    loss = {
        "kind": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        "price": "mse",
    }
    y = {"kind": np.zeros(24, "int32"), "price": np.ones((24, 1))}
    logs = logs_of(distiller, y, loss=loss)
    t, s = (each(X) for each in (distiller.teacher, distiller.student))
    gap = np.asarray(t["price"], "float64") - np.asarray(s["price"])
    assert logs["logits_mse_price"] == pytest.approx((gap**2).mean(), rel=1e-5)
    assert logs["soft_targets_kind"] > 0


def test_soft_targets_refuse_numbers():
    distiller = keras_kd.Distiller(model(3), model(3), "soft_targets")
    with pytest.raises(ValueError, match="compares classes.*student_output='l"):
        distiller.compile("sgd", "mse")
    told = keras_kd.Distiller(
        model(3), model(3), "soft_targets", student_output="logits"
    )
    told.compile("sgd", "mse")


def test_a_temperature_is_for_classes():
    distiller = keras_kd.Distiller(model(3), model(3), temperature=2.0)
    with pytest.raises(ValueError, match="temperature.*no classes"):
        distiller.compile("sgd", "mse")


def test_a_regression_goes_on_after_loading(tmp_path):
    distiller = keras_kd.Distiller(model(1), model(1), alpha=0.5)
    logs_of(distiller, np.ones((24, 1)), loss="mse")
    distiller.save(tmp_path / "distiller.keras")
    loaded = keras.models.load_model(tmp_path / "distiller.keras")
    loaded.teacher = distiller.teacher
    assert "logits_mse" in loaded.fit(X, np.ones((24, 1)), verbose=0).history


@pytest.mark.parametrize("units", [1, 3])
def test_a_cache_knows_that_it_holds_numbers(tmp_path, units):
    teacher = model(units)
    teacher.compile("sgd", "mse")
    cache = keras_kd.TeacherCache.build(
        tmp_path, teacher, X, dtype="float32", verbose=0
    )
    distiller = keras_kd.Distiller(cache, model(units), alpha=1.0)
    distiller.compile(SGD(0.0), run_eagerly=True)
    logs = distiller.fit(cache.join(X), verbose=0).history
    gap = np.asarray(teacher(X)) - np.asarray(distiller.student(X))
    assert logs["logits_mse"][0] == pytest.approx((gap**2).mean(), rel=1e-4)
    with pytest.raises(ValueError, match="top_k.*numbers"):
        keras_kd.TeacherCache.build(tmp_path / "k", teacher, X, top_k=1)


@pytest.mark.parametrize("alone", ["one at a time", "a row", "none"])
def test_unknown_labels_are_left_out_one_by_one(alone):
    y = (RNG.uniform(size=(24, 5)) > 0.5).astype("float32")
    if alone == "one at a time":
        y[RNG.uniform(size=y.shape) < 0.4] = np.nan
    elif alone == "a row":
        y[3] = np.nan
    distiller = keras_kd.Distiller(model(5, "sigmoid"), model(5), alpha=0.5)
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    metric = keras.metrics.BinaryAccuracy(name="right", threshold=0.0)
    logs = logs_of(distiller, y, loss=loss, metrics=[metric])
    s = outputs_of(distiller)[1]
    known = ~np.isnan(y)
    filled = np.nan_to_num(y)
    ce = np.maximum(s, 0) - s * filled + np.log1p(np.exp(-np.abs(s)))
    assert logs["student_loss"] == pytest.approx(ce[known].mean(), rel=1e-5)
    right = (s > 0) == (filled > 0.5)
    assert logs["right"] == pytest.approx(right[known].mean(), rel=1e-5)
    evaluated = distiller.evaluate(X, y, verbose=0, return_dict=True)
    assert evaluated["loss"] == pytest.approx(ce[known].mean(), rel=1e-5)


def test_unknown_numbers_are_left_out_one_by_one():
    y = RNG.normal(size=(24, 3))
    y[RNG.uniform(size=y.shape) < 0.4] = np.nan
    distiller = keras_kd.Distiller(model(3), model(3), alpha=0.5)
    logs = logs_of(distiller, y, loss="mse", metrics=["mae"])
    s = outputs_of(distiller)[1]
    assert logs["student_loss"] == pytest.approx(
        np.nanmean((y - s) ** 2), rel=1e-5
    )
    assert logs["mae"] == pytest.approx(np.nanmean(np.abs(y - s)), rel=1e-5)


@pytest.mark.parametrize("units", [1, 3])
def test_accuracies_of_logits_count_above_zero(units, tmp_path):
    generator = np.random.default_rng(0)
    y = generator.integers(0, 2, (24, units)).astype("float32")
    teacher, student = model(units, "sigmoid"), model(units)
    distiller = keras_kd.Distiller(teacher, student, alpha=0.5)
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    logs = logs_of(distiller, y, loss=loss, metrics=["accuracy", "mae"])
    z = np.asarray(student(X), "float64")
    assert logs["accuracy"] == pytest.approx(((z > 0) == y).mean(), rel=1e-6)
    assert logs["mae"] == pytest.approx(np.abs(z - y).mean(), rel=1e-5)
    distiller.save(tmp_path / "distiller.keras")
    loaded = keras.models.load_model(tmp_path / "distiller.keras")
    found = loaded.evaluate(X, y, verbose=0, return_dict=True)
    assert found["accuracy"] == pytest.approx(logs["accuracy"])
    # Probabilities count above a half.
    alone = keras_kd.Distiller(teacher, teacher, alpha=0.5)
    logs = logs_of(alone, y, loss="binary_crossentropy", metrics=["mae", "acc"])
    right = ((np.asarray(teacher(X)) > 0.5) == y).mean()
    assert logs["acc"] == pytest.approx(right, rel=1e-6)


def pixel_gap(kind, t, s):
    """Values of each pixel and unit, and their slopes in the student."""
    if kind == "numbers":
        return (s - t) ** 2, 2 * (s - t)
    if kind == "labels":
        p, q = (1 / (1 + np.exp(-z / 4)) for z in (t, s))
        kl = p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))
        return 16 * kl, 4 * (q - p)
    p, q = (np.exp(restated.log_softmax(z / 4)) for z in (t, s))
    kl = restated.soft_targets(t, s, 4.0)[..., None]
    return kl, 4 * (q - p)


@pytest.mark.eager
@pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
@pytest.mark.parametrize("kind", ["classes", "labels", "numbers"])
def test_pixels_under_a_mask(kind, weighted):
    units, head = {"classes": (3, None), "labels": (4, "sigmoid")}.get(
        kind, (1, None)
    )
    x = RNG.normal(size=(4, 3, 2, 5)).astype("float32")
    seen = RNG.random((4, 3, 2)) < 0.6
    x[~seen] = 0

    def pixels():
        return keras.Sequential(
            [
                keras.Input((3, 2, 5)),
                layers.Masking(),
                layers.Dense(units, head),
            ]
        )

    teacher, student = pixels(), pixels()
    kernel = student.layers[-1].kernel.numpy().astype("float64")
    t, s = x @ teacher.layers[-1].kernel.numpy(), x @ kernel
    temperature = None if kind == "numbers" else 4.0
    distiller = keras_kd.Distiller(
        teacher, student, alpha=1.0, temperature=temperature
    )
    compiled = {
        "classes": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        "labels": "binary_crossentropy",
        "numbers": "mse",
    }[kind]
    distiller.compile(SGD(0.5), loss=compiled)
    shape = (4, 3, 2, units) if kind == "labels" else (4, 3, 2, 1)
    weights = RNG.uniform(0, 2, (4, 3, 2)).astype("float32")
    logs = distiller.fit(
        x,
        np.ones(shape, "int32"),
        sample_weight=weights if weighted else None,
        verbose=0,
    ).history
    values, slopes = pixel_gap(kind, t.astype("float64"), s)
    weights = weights if weighted else np.ones((4, 3, 2))
    exact = (values * weights[..., None])[seen].sum() / values[seen].size
    name = "logits_mse" if kind == "numbers" else "soft_targets"
    assert logs[name][0] == pytest.approx(exact, rel=1e-4)
    slope = np.einsum("bhwi,bhwu->iu", x, slopes * weights[..., None])
    # Masked pixels are 0, so they have no share in the sum over pixels.
    slope /= values[seen].size
    moved = kernel - student.layers[-1].kernel.numpy()
    assert moved == pytest.approx(0.5 * slope, rel=1e-3, abs=1e-5)
