"""Examples without a label count in the distillation part only."""

import keras
import numpy as np
import pytest
from keras import layers
from restated import log_softmax
from restated import soft_targets

import keras_kd
from keras_kd.distiller import unlabelled

pytestmark = pytest.mark.eager

SPARSE = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
DENSE = keras.losses.CategoricalCrossentropy(from_logits=True)
RNG = np.random.default_rng(0)
X = RNG.normal(size=(20, 6)).astype("float32")
CLASSES = RNG.integers(0, 3, 20)
WEIGHTS = RNG.uniform(0, 2, 20).astype("float32")
SEEN = RNG.random(20) < 0.6


def model():
    return keras.Sequential(
        [keras.Input((6,)), layers.Dense(5, "relu"), layers.Dense(3)]
    )


def make(loss=SPARSE, optimizer=None, **settings):
    distiller = keras_kd.Distiller(model(), model(), alpha=0.6)
    distiller.compile(
        optimizer or keras.optimizers.SGD(0.0),
        loss=loss,
        metrics=["accuracy"],
        weighted_metrics=[keras.metrics.CategoricalAccuracy(name="weighted")]
        if loss is DENSE
        else [keras.metrics.SparseCategoricalAccuracy(name="weighted")],
        **settings,
    )
    return distiller


def numbers(kind):
    if kind == "integers":
        return np.where(SEEN, CLASSES, -1), SPARSE
    if kind == "floats":
        return np.where(SEEN, CLASSES, np.nan).astype("float32"), SPARSE
    if kind == "column":
        return np.where(SEEN, CLASSES, -1)[:, None], SPARSE
    one_hot = np.eye(3, dtype="float32")[CLASSES]
    return np.where(SEEN[:, None], one_hot, np.nan), DENSE


KINDS = ["integers", "floats", "column", "one_hot"]


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weighted"])
@pytest.mark.parametrize("kind", KINDS)
def test_task_and_metrics_are_over_the_labelled(kind, weights):
    y, loss = numbers(kind)
    distiller = make(loss)
    t, s = (m(X).numpy() for m in (distiller.teacher, distiller.student))
    w = np.ones(20) if weights is None else weights
    ce = -log_softmax(s)[np.arange(20), CLASSES]
    right = s.argmax(-1) == CLASSES
    task = (w * ce)[SEEN].sum() / SEEN.sum()
    soft = (w * soft_targets(t, s)).mean()
    expected = {
        "student_loss": task,
        "soft_targets": soft,
        "loss": 0.4 * task + 0.6 * soft,
        "accuracy": right[SEEN].mean(),
        "weighted": np.average(right[SEEN], weights=w[SEEN]),
    }
    expected |= {
        "val_loss": task,
        "val_accuracy": right[SEEN].mean(),
        "val_weighted": expected["weighted"],
    }
    validation = (X, y) if weights is None else (X, y, weights)
    logs = distiller.fit(
        X,
        y,
        sample_weight=weights,
        batch_size=20,
        shuffle=False,
        verbose=0,
        validation_data=validation,
        validation_batch_size=7,
    ).history
    assert set(logs) == set(expected)
    for name, value in expected.items():
        assert logs[name][0] == pytest.approx(value, rel=1e-4), name


def test_an_epoch_is_a_mean_over_all_that_is_labelled():
    y, _ = numbers("integers")
    y[:7] = -1  # a batch without any label
    distiller = make()
    s = distiller.student(X).numpy()
    seen = y >= 0
    logs = distiller.fit(X, y, batch_size=7, shuffle=False, verbose=0).history
    ce = -log_softmax(s)[np.arange(20), CLASSES]
    assert logs["student_loss"][0] == pytest.approx(ce[seen].mean(), rel=1e-5)
    right = s.argmax(-1) == CLASSES
    assert logs["accuracy"][0] == pytest.approx(right[seen].mean(), rel=1e-6)


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("integers", {}),
        pytest.param("one_hot", {}, marks=pytest.mark.slow),
        pytest.param("one_hot", {"jit_compile": True}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_without_any_label_it_is_distillation_alone(kind, settings):
    y, loss = numbers(kind)
    y[:] = y[~SEEN][0]
    results = []
    for alpha, labelled in ((0.6, (X, y)), (1.0, (X,))):
        keras.utils.set_random_seed(1)
        distiller = keras_kd.Distiller(
            model(), model(), alpha=alpha, student_loss_weight=1 - alpha
        )
        # Adam does not see that the loss is multiplied by alpha.
        optimizer = keras.optimizers.Adam(0.01, epsilon=1e-12)
        distiller.compile(optimizer, loss=loss, **settings)
        run = {"batch_size": 10, "shuffle": False, "verbose": 0, "epochs": 2}
        logs = distiller.fit(*labelled, **run).history
        results.append((distiller.student.get_weights(), logs))
    (mixed, logs), (alone, _) = results
    assert logs["student_loss"] == [0.0, 0.0]
    for one, other in zip(mixed, alone, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_the_gradient_is_the_labelled_examples():
    y, _ = numbers("integers")
    keras.utils.set_random_seed(1)
    student, teacher = model(), model()
    twin = keras.models.clone_model(student)
    twin.set_weights(student.get_weights())
    mixed = keras_kd.Distiller(teacher, student, alpha=0.0)
    mixed.compile(keras.optimizers.SGD(0.1), loss=SPARSE)
    mixed.fit(X, y, batch_size=20, shuffle=False, verbose=0)
    twin.compile(keras.optimizers.SGD(0.1), loss=SPARSE)
    twin.fit(X[SEEN], y[SEEN], batch_size=20, shuffle=False, verbose=0)
    for one, other in zip(
        student.get_weights(), twin.get_weights(), strict=True
    ):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_positions_without_a_label_and_padding():
    def tagger():
        return keras.Sequential(
            [
                keras.Input((5,), dtype="int32"),
                layers.Embedding(7, 4, mask_zero=True),
                layers.Dense(3),
            ]
        )

    tokens = RNG.integers(1, 7, (8, 5))
    tokens[:, 3:] = 0
    y = RNG.integers(-1, 3, (8, 5))
    distiller = keras_kd.Distiller(tagger(), tagger(), alpha=0.5)
    distiller.compile(keras.optimizers.SGD(0.0), loss=SPARSE)
    s = distiller.student(tokens).numpy()
    ce = -np.take_along_axis(log_softmax(s), y[..., None], -1)[..., 0]
    w = RNG.uniform(0, 2, (8, 5)).astype("float32")
    used = (y >= 0) & (tokens > 0)
    for weights, scale in ((None, np.ones((8, 5))), (w, w)):
        logs = distiller.fit(
            tokens, y, sample_weight=weights, batch_size=8, verbose=0
        ).history
        exact = (scale * ce)[used].sum() / used.sum()
        assert logs["student_loss"][0] == pytest.approx(exact, rel=1e-5)


def test_outputs_labelled_in_other_rows():
    inputs = keras.Input((6,))

    def heads():
        return keras.Model(
            inputs, {"a": layers.Dense(3)(inputs), "b": layers.Dense(1)(inputs)}
        )

    student = heads()
    distiller = keras_kd.Distiller(
        heads(), student, keras_kd.losses.SoftTargets(output="a"), alpha=0.5
    )
    distiller.compile(
        keras.optimizers.SGD(0.0),
        loss={"a": SPARSE, "b": "mse"},
        loss_weights={"a": 1.0, "b": 2.0},
        metrics={"a": ["accuracy"], "b": ["mae"]},
    )
    target = RNG.normal(size=20).astype("float32")
    target[12:] = np.nan
    y = {"a": np.where(SEEN, CLASSES, -1), "b": target}
    s = {k: v.numpy() for k, v in student(X).items()}
    ce = -log_softmax(s["a"])[np.arange(20), CLASSES]
    gap = s["b"][:12, 0] - target[:12]
    logs = distiller.fit(X, y, batch_size=20, shuffle=False, verbose=0).history
    exact = ce[SEEN].mean() + 2 * (gap**2).mean()
    assert logs["student_loss"][0] == pytest.approx(exact, rel=1e-5)
    assert logs["b_mae"][0] == pytest.approx(np.abs(gap).mean(), rel=1e-5)
    right = s["a"].argmax(-1) == CLASSES
    assert logs["a_accuracy"][0] == pytest.approx(right[SEEN].mean(), rel=1e-6)


def test_minus_one_is_a_class_of_other_losses():
    assert unlabelled.rule_of("hinge").minus_one == (False, False)
    assert unlabelled.rule_of("mse").minus_one == (False, False)
    assert unlabelled.rule_of(SPARSE).minus_one == (True, True)
    assert unlabelled.rule_of("binary_crossentropy").minus_one == (True, True)
    assert unlabelled.rule_of("ce").minus_one == (True, True)
    student = keras.Sequential([keras.Input((6,)), layers.Dense(1)])
    teacher = keras.models.clone_model(student)
    distiller = keras_kd.Distiller(teacher, student)
    distiller.compile(keras.optimizers.SGD(0.0), loss="hinge")
    y = np.where(SEEN, 1, -1)
    logs = distiller.fit(X, y, batch_size=20, verbose=0).history
    exact = np.maximum(1 - y * student(X).numpy()[:, 0], 0).mean()
    assert logs["student_loss"][0] == pytest.approx(exact, rel=1e-5)


@pytest.mark.parametrize("ignored", [-1, 2])
def test_a_class_that_the_loss_ignores(ignored):
    loss = keras.losses.SparseCategoricalCrossentropy(
        from_logits=True, ignore_class=ignored
    )
    y, _ = numbers("integers")
    distiller = make(loss)
    s = distiller.student(X).numpy()
    used = (y >= 0) & (y != ignored)
    logs = distiller.fit(X, y, batch_size=20, verbose=0).history
    ce = -log_softmax(s)[np.arange(20), CLASSES]
    assert logs["student_loss"][0] == pytest.approx(ce[used].mean(), rel=1e-5)


def test_all_labelled_is_keras_to_the_bit():
    for kind in KINDS:
        y, loss = numbers(kind)
        distiller = make(loss)
        student = distiller.student
        student.compile("sgd", loss=loss, metrics=["accuracy"])
        distiller.compile("sgd", loss=loss, metrics=["accuracy"])
        assert distiller.evaluate(X[SEEN], y[SEEN], verbose=0) == (
            student.evaluate(X[SEEN], y[SEEN], verbose=0)
        )


def test_evaluation_without_labels():
    distiller = make()
    with pytest.raises(ValueError, match="`evaluate` needs labels for `loss`"):
        distiller.evaluate(X, verbose=0)


@pytest.mark.slow
@pytest.mark.eager(False)
def test_another_transfer_set_than_the_training_set():
    teacher, student = model(), model()
    generator = np.random.default_rng(0)
    transfer = generator.normal(2.0, 3.0, size=(64, 6)).astype("float32")
    distiller = keras_kd.Distiller(teacher, student, alpha=1.0, temperature=2.0)
    distiller.compile(keras.optimizers.Adam(0.03))
    logs = distiller.fit(transfer, epochs=60, verbose=0).history
    assert logs["soft_targets"][-1] < 0.2 * logs["soft_targets"][0]
    # On inputs like those it saw: of others it was told nothing.
    unseen = generator.normal(2.0, 3.0, size=(200, 6)).astype("float32")
    same = teacher(unseen).numpy().argmax(-1) == student(unseen).numpy().argmax(
        -1
    )
    assert same.mean() > 0.7


def test_no_labels_in_training_and_labels_in_validation():
    student = model()
    distiller = keras_kd.Distiller(model(), student, alpha=1.0)
    distiller.compile("adam", metrics=["accuracy"])
    history = distiller.fit(
        X, epochs=2, verbose=0, validation_data=(X, CLASSES)
    ).history
    assert set(history) == {"loss", "soft_targets", "val_accuracy"}
    right = student.predict(X, verbose=0).argmax(-1) == CLASSES
    assert history["val_accuracy"][-1] == pytest.approx(right.mean())
    found = distiller.evaluate(X, CLASSES, verbose=0, return_dict=True)
    assert found == {"accuracy": pytest.approx(right.mean())}
