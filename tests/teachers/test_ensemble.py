"""Ensembles against NumPy."""

import keras
import numpy as np
import pytest
from keras import layers
from restated import log_softmax
from restated import soft_targets

import keras_kd

pytestmark = pytest.mark.eager

RNG = np.random.default_rng(0)
X = RNG.normal(size=(16, 6)).astype("float32")


def model(units=3, head=None, name=None):
    return keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(5, "relu", name="hidden"),
            layers.Dense(units, head, kernel_initializer="random_normal"),
        ],
        name=name,
    )


def mean_of(members, weights, combine):
    logits = [m(X).numpy().astype("float64") for m in members]
    weights = np.asarray(weights, "float64") / np.sum(weights)
    if combine == "logits":
        return sum(w * z for w, z in zip(weights, logits, strict=True))
    p = [np.exp(log_softmax(z)) for z in logits]
    return np.log(sum(w * q for w, q in zip(weights, p, strict=True)))


@pytest.mark.parametrize("combine", ["logits", "probabilities"])
@pytest.mark.parametrize("weights", [None, [1, 2, 5]], ids=str)
def test_the_mean_is_numpys(combine, weights):
    members = [model() for _ in range(3)]
    ensemble = keras_kd.teachers.Ensemble(members, weights, combine)
    exact = mean_of(members, weights or [1, 1, 1], combine)
    np.testing.assert_allclose(ensemble(X), exact, rtol=1e-5, atol=1e-6)


def test_mean_of_probabilities_is_finite_where_they_underflow():
    members = [model(), model()]
    for member, sign in zip(members, (1, -1), strict=True):
        member.layers[-1].set_weights(
            [np.zeros((5, 3)), sign * np.array([1e4, 0, -1e4])]
        )
    ensemble = keras_kd.teachers.Ensemble(members, None, "probabilities")
    exact = [-np.log(2), -1e4 - np.log(2) + np.log(2), -np.log(2)]
    np.testing.assert_allclose(ensemble(X)[0], exact, rtol=1e-6)


@pytest.mark.parametrize("combine", ["logits", "probabilities"])
def test_distilling_from_an_ensemble(combine):
    members = [model(), model(3, "softmax")]
    student = model()
    ensemble = keras_kd.teachers.Ensemble(members, [1, 3], combine)
    distiller = keras_kd.Distiller(ensemble, student, alpha=1.0)
    assert distiller.teacher is ensemble
    distiller.compile(keras.optimizers.SGD(0.0))
    logs = distiller.fit(X, batch_size=16, verbose=0).history
    inner = keras.Sequential([keras.Input((6,)), *members[1].layers])
    inner.layers[-1].activation = keras.activations.linear
    exact = mean_of([members[0], inner], [1, 3], combine)
    kd = soft_targets(exact, student(X).numpy()).mean()
    assert logs["soft_targets"][0] == pytest.approx(kd, rel=1e-4)


class HiddenMSE(keras_kd.losses.DistillationLoss):
    kind = "feature"
    reads = "layers"

    def call(self, teacher_outputs, student_outputs, labels=None):
        gap = teacher_outputs - student_outputs
        return keras.ops.mean(keras.ops.square(gap), axis=-1)


def test_features_of_a_member():
    members, student = [model(), model()], model()
    loss = HiddenMSE(teacher_layer="1/hidden", student_layer="hidden")
    ensemble = keras_kd.teachers.Ensemble(members)
    distiller = keras_kd.Distiller(ensemble, student, loss, alpha=1.0)
    distiller.compile(keras.optimizers.SGD(0.0))
    logs = distiller.fit(X, batch_size=16, verbose=0).history
    t, s = (m.layers[0](X).numpy() for m in (members[1], student))
    assert logs["hidden_mse"][0] == pytest.approx(
        ((t - s) ** 2).mean(), rel=1e-5
    )
    for path in ("hidden", "2/hidden", "one/hidden", "1/"):
        loss = HiddenMSE(teacher_layer=path, student_layer="hidden")
        with pytest.raises(ValueError, match="members 0 to 1"):
            keras_kd.Distiller(ensemble, student, loss)


def test_members_are_neither_trained_nor_saved(tmp_path):
    members, student = [model(), model()], model()
    before = [m.get_weights() for m in members]
    ensemble = keras_kd.teachers.Ensemble(members)
    distiller = keras_kd.Distiller(ensemble, student, alpha=1.0)
    distiller.compile("adam")
    distiller.fit(X, verbose=0)
    assert len(distiller.weights) == len(student.weights)
    for old, member in zip(before, members, strict=True):
        for a, b in zip(old, member.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)
    distiller.save(tmp_path / "d.keras")
    assert keras.models.load_model(tmp_path / "d.keras").teacher is None


def test_dict_outputs():
    def two():
        inputs = keras.Input((6,))
        heads = {"a": layers.Dense(3)(inputs), "b": layers.Dense(2)(inputs)}
        return keras.Model(inputs, heads)

    members, student = [two(), two()], two()
    ensemble = keras_kd.teachers.Ensemble(members)
    logits = ensemble(X)
    for key in "ab":
        exact = np.mean([m(X)[key] for m in members], axis=0)
        np.testing.assert_allclose(logits[key], exact, rtol=1e-5, atol=1e-6)
    distiller = keras_kd.Distiller(ensemble, student, alpha=1.0)
    distiller.compile(keras.optimizers.SGD(0.0))
    logs = distiller.fit(X, batch_size=16, verbose=0).history
    exact = sum(
        soft_targets(logits[k].numpy(), student(X)[k].numpy()).mean()
        for k in "ab"
    )
    assert logs["soft_targets"][0] == pytest.approx(exact, rel=1e-4)


def test_bad_arguments():
    ensemble = keras_kd.teachers.Ensemble
    with pytest.raises(TypeError, match="a list of one or more keras.Model"):
        ensemble(model())
    with pytest.raises(ValueError, match="one or more"):
        ensemble([])
    with pytest.raises(ValueError, match="2 numbers, one a model"):
        ensemble([model(), model()], [1.0])
    with pytest.raises(ValueError, match=r"weights\[1\]` to be .* than 0"):
        ensemble([model(), model()], [1.0, 0.0])
    with pytest.raises(ValueError, match=r"Did you mean 'logits'\?"):
        ensemble([model()], combine="logit")
    with pytest.raises(ValueError, match=r"`one` gives.*3.*`two` gives.*4"):
        ensemble([model(name="one"), model(4, name="two")])
    other = keras.Sequential([keras.Input((7,)), layers.Dense(3)])
    with pytest.raises(ValueError, match="same inputs"):
        keras_kd.Distiller(ensemble([model(), other]), model())


def test_what_the_outputs_depend_on():
    members = [model(), model()]
    parts = keras_kd.teachers.Ensemble(members, [3, 1]).fingerprint_parts()
    assert parts[:2] == members
    assert parts[2]["weights"] == [0.75, 0.25]
    assert parts[2]["combine"] == "logits"
