"""What `keras.distillation` 3.15 gets wrong, and ours does right.

One test an item, numbered as measured; each fails with the behaviour of
`keras.distillation`.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_kd
from keras_kd.losses import DistillationLoss

FROM_LOGITS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def log_softmax(z):
    z = z - z.max(-1, keepdims=True)
    return z - np.log(np.exp(z).sum(-1, keepdims=True))


def numpy_kd(teacher, student, temperature=4.0):
    log_p, log_q = (
        log_softmax(teacher / temperature),
        log_softmax(student / temperature),
    )
    return temperature**2 * (np.exp(log_p) * (log_p - log_q)).sum(-1)


def first_logs(distiller, *data, **kwargs):
    """The logs of one step over everything, before anything was learned."""
    history = distiller.fit(
        *data, batch_size=1000, epochs=1, verbose=0, shuffle=False, **kwargs
    )
    return {name: values[0] for name, values in history.history.items()}


def dense(units, head=None, features=6, name=None, hidden=5):
    return keras.Sequential(
        [
            keras.Input((features,)),
            keras.layers.Dense(hidden, "relu", name="hidden"),
            keras.layers.Dense(units, head, name="head"),
        ],
        name=name,
    )


class FeatureMSE(DistillationLoss):
    """The smallest feature loss: for tests only."""

    kind = "feature"

    def call(self, teacher_outputs, student_outputs, labels=None):
        gap = keras.ops.square(student_outputs - teacher_outputs)
        return keras.ops.mean(gap, axis=tuple(range(1, len(gap.shape))))


@pytest.fixture
def rows():
    return np.random.default_rng(0).normal(size=(32, 6)).astype("float32")


@pytest.fixture
def classes():
    return np.random.default_rng(1).integers(0, 3, 32)


def test_01_default_is_knowledge_distillation(rows):
    teacher, student = dense(3, name="t"), dense(3, name="s")
    exact = numpy_kd(teacher(rows).numpy(), student(rows).numpy(), 4.0).mean()
    distiller = keras_kd.Distiller(teacher, student, alpha=1.0)
    distiller.compile("sgd")
    assert first_logs(distiller, rows)["soft_targets"] == pytest.approx(
        exact, rel=1e-5
    )


def test_02_probability_loss_on_a_logits_student_is_refused():
    distiller = keras_kd.Distiller(dense(3), dense(3, name="small"))
    for loss in (
        "sparse_categorical_crossentropy",
        keras.losses.SparseCategoricalCrossentropy(),
    ):
        with pytest.raises(
            ValueError, match=r"takes logits, which the student `small` ret"
        ):
            distiller.compile("adam", loss=loss)
    distiller.compile("adam", loss=FROM_LOGITS)
    soft = keras_kd.Distiller(dense(3), dense(3, "softmax"))
    with pytest.raises(ValueError, match=r"takes probabilities"):
        soft.compile("adam", loss=FROM_LOGITS)
    soft.compile("adam", loss="sparse_categorical_crossentropy")


@pytest.mark.parametrize("head", ["softmax", "sigmoid"])
def test_03_probability_heads_are_used_through_their_logits(rows, head):
    units = 3 if head == "softmax" else 1
    plain = [dense(units, name=n) for n in ("t", "s")]
    headed = [dense(units, head) for _ in range(2)]
    for one, other in zip(plain, headed, strict=True):
        other.set_weights(one.get_weights())
    logits = [m(rows).numpy() for m in plain]
    if units == 1:
        logits = [np.concatenate([0 * z, z], -1) for z in logits]
    exact = numpy_kd(*logits).mean()
    assert exact > 0.01
    for teacher, student in (plain, headed, (plain[0], headed[1])):
        distiller = keras_kd.Distiller(teacher, student, alpha=1.0)
        distiller.compile(keras.optimizers.SGD(0.0))
        assert first_logs(distiller, rows)["loss"] == pytest.approx(
            exact, rel=1e-5
        )


class Counting(keras.layers.Layer):
    """Counts executed calls, in training and in inference mode."""

    def build(self, input_shape):
        make = {"shape": (), "initializer": "zeros", "trainable": False}
        self.trained = self.add_weight(name="trained", **make)
        self.inferred = self.add_weight(name="inferred", **make)

    def call(self, inputs, training=False):
        (self.trained if training else self.inferred).assign_add(1.0)
        return inputs

    @property
    def counts(self):
        return float(self.trained), float(self.inferred)


def counted(name):
    inputs = keras.Input((6,))
    x = Counting(name="count")(inputs)
    x = keras.layers.Dense(5, name="hidden")(x)
    x = keras.layers.BatchNormalization(momentum=0.9, name="norm")(x)
    x = keras.layers.Dropout(0.5)(x)
    return keras.Model(inputs, keras.layers.Dense(3)(x), name=name)


def test_04_one_forward_each_with_logit_and_feature_losses(rows, classes):
    teacher, student = counted("t"), counted("s")
    mean = student.get_layer("hidden")(rows).numpy().mean(0)
    hidden = FeatureMSE(teacher_layer="norm", student_layer="norm")
    distiller = keras_kd.Distiller(
        teacher, student, [keras_kd.losses.SoftTargets(), hidden]
    )
    distiller.compile(keras.optimizers.SGD(0.0), loss=FROM_LOGITS)
    counts = teacher.get_layer("count").counts
    assert counts == (0.0, 0.0)
    logs = first_logs(distiller, rows, classes)
    assert set(logs) == {"loss", "student_loss", "soft_targets", "feature_mse"}
    assert student.get_layer("count").counts == (1.0, 0.0)
    assert teacher.get_layer("count").counts == (0.0, 1.0)
    moving = student.get_layer("norm").moving_mean.numpy()
    assert moving == pytest.approx(0.1 * mean, rel=1e-4, abs=1e-6)


def test_05_evaluate_changes_nothing_and_calls_no_teacher(rows, classes):
    teacher, student = counted("t"), counted("s")
    hidden = FeatureMSE(teacher_layer="norm", student_layer="norm")
    distiller = keras_kd.Distiller(teacher, student, hidden)
    distiller.compile("adam", loss=FROM_LOGITS, metrics=["accuracy"])
    before = [v.numpy() for v in distiller.weights if "inferred" not in v.path]
    first = distiller.evaluate(rows, classes, verbose=0, return_dict=True)
    again = distiller.evaluate(rows, classes, verbose=0, return_dict=True)
    after = [v.numpy() for v in distiller.weights if "inferred" not in v.path]
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(old, new)
    assert first == again
    assert teacher.get_layer("count").counts == (0.0, 0.0)
    assert student.get_layer("count").counts == (0.0, 2.0)
    exact = -log_softmax(student(rows).numpy())[np.arange(32), classes].mean()
    assert first["loss"] == pytest.approx(exact, rel=1e-5)


def test_06_sample_and_class_weights_reach_both_parts(rows, classes):
    teacher, student = dense(3), dense(3)
    weights = np.random.default_rng(2).uniform(0, 2, 32).astype("float32")
    kd = numpy_kd(teacher(rows).numpy(), student(rows).numpy())
    ce = -log_softmax(student(rows).numpy())[np.arange(32), classes]
    distiller = keras_kd.Distiller(teacher, student, alpha=0.7)
    distiller.compile(keras.optimizers.SGD(0.0), loss=FROM_LOGITS)
    logs = first_logs(distiller, rows, classes, sample_weight=weights)
    assert logs["soft_targets"] == pytest.approx(
        (kd * weights).mean(), rel=1e-5
    )
    assert logs["student_loss"] == pytest.approx(
        (ce * weights).mean(), rel=1e-5
    )
    assert logs["loss"] == pytest.approx(
        ((0.7 * kd + 0.3 * ce) * weights).mean(), rel=1e-5
    )
    by_class = {0: 0.0, 1: 2.0, 2: 0.5}
    weights = np.vectorize(by_class.get)(classes)
    logs = first_logs(distiller, rows, classes, class_weight=by_class)
    assert logs["soft_targets"] == pytest.approx(
        (kd * weights).mean(), rel=1e-5
    )
    logs = first_logs(distiller, rows, classes, sample_weight=np.zeros(32))
    assert logs["loss"] == 0.0


# 07, replicas: tests/distiller/test_replicas.py, in processes of their own.


def test_08_teacher_is_off_the_tape_and_untouched(rows, classes, monkeypatch):
    tapes = []

    class Tape(tf.GradientTape):
        def __init__(self):
            super().__init__(persistent=True)
            tapes.append(self)

    monkeypatch.setattr(tf, "GradientTape", Tape)
    teacher, student = counted("t"), counted("s")
    teacher.get_layer("hidden").trainable = False
    flags = [layer.trainable for layer in teacher.layers]
    before = [v.numpy() for v in teacher.weights if "inferred" not in v.path]
    distiller = keras_kd.Distiller(teacher, student)
    distiller.compile("sgd", loss=FROM_LOGITS, run_eagerly=True)
    distiller.train_on_batch(rows, classes)
    watched = {id(v) for v in tapes[-1].watched_variables()}
    assert watched >= {id(v.value) for v in student.trainable_variables}
    assert not watched & {id(v.value) for v in teacher.variables}
    distiller.fit(rows, classes, verbose=0)
    distiller.trainable = False
    distiller.trainable = True
    assert len(distiller.trainable_weights) == len(student.trainable_weights)
    assert [layer.trainable for layer in teacher.layers] == flags
    after = [v.numpy() for v in teacher.weights if "inferred" not in v.path]
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(old, new)


def test_09_a_saved_distiller_goes_on_training(rows, classes, tmp_path):
    def make(n):
        keras.utils.set_random_seed(n)
        return dense(3)

    teacher, student = make(0), make(1)
    distiller = keras_kd.Distiller(teacher, student, alpha=0.5)
    distiller.compile("adam", loss=FROM_LOGITS, metrics=["accuracy"])
    run = {"epochs": 2, "shuffle": False, "verbose": 0}
    distiller.fit(rows, classes, **run)
    distiller.save(tmp_path / "d.keras")
    distiller.fit(rows, classes, **run)

    loaded = keras.models.load_model(tmp_path / "d.keras")
    assert loaded.teacher is None
    assert loaded.alpha == 0.5
    assert int(loaded.optimizer.iterations) == 2
    with pytest.raises(ValueError, match=r"needs a teacher to train"):
        loaded.fit(rows, classes)
    loaded.teacher = teacher
    assert loaded.teacher is teacher
    loaded.fit(rows, classes, **run)
    for one, other in zip(distiller.weights, loaded.weights, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


def test_10_files_hold_no_teacher(rows, tmp_path):
    teacher, student = dense(3, hidden=8000), dense(3, hidden=1000)
    distiller = keras_kd.Distiller(teacher, student)
    plain = dense(3, hidden=1000)
    for model in (distiller, plain):
        model.compile("sgd", loss=FROM_LOGITS)
    distiller.save_weights(tmp_path / "d.weights.h5")
    plain.save_weights(tmp_path / "s.weights.h5")
    sizes = [(tmp_path / f"{n}.weights.h5").stat().st_size for n in "ds"]
    assert sizes[0] < 1.2 * sizes[1]
    distiller.save(tmp_path / "d.keras")
    assert (tmp_path / "d.keras").stat().st_size < 120_000
    checkpoint = tf.train.Checkpoint(distiller).save(str(tmp_path / "ckpt"))
    assert not any(
        8000 in shape for _, shape in tf.train.list_variables(checkpoint)
    )
    distiller.export(tmp_path / "saved", verbose=False)
    reloaded = tf.saved_model.load(tmp_path / "saved")
    stored = sum(int(np.prod(v.shape)) for v in reloaded.variables)
    assert stored == student.count_params()
    np.testing.assert_allclose(
        reloaded.serve(rows).numpy(), student(rows).numpy(), rtol=1e-5
    )


def test_11_regularization_and_add_loss_count(rows, classes):
    student = keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(
                5, kernel_regularizer=keras.regularizers.L2(10.0)
            ),
            keras.layers.ActivityRegularization(l2=0.5),
            keras.layers.Dense(3),
        ]
    )
    kernel = student.layers[0].kernel.numpy()
    hidden = student.layers[0](rows).numpy()
    penalty = 10.0 * (kernel**2).sum() + 0.5 * (hidden**2).sum() / len(rows)
    distiller = keras_kd.Distiller(dense(3), student, alpha=0.25)
    distiller.compile(keras.optimizers.SGD(0.0), loss=FROM_LOGITS)
    logs = first_logs(distiller, rows, classes)
    parts = 0.25 * logs["soft_targets"] + 0.75 * logs["student_loss"]
    assert logs["loss"] == pytest.approx(parts + penalty, rel=1e-5)


def two_heads(name):
    inputs = keras.Input((6,))
    x = keras.layers.Dense(5, "relu")(inputs)
    outputs = {
        "color": keras.layers.Dense(3, name="color")(x),
        "shape": keras.layers.Dense(4, "softmax", name="shape")(x),
    }
    return keras.Model(inputs, outputs, name=name)


def test_12_dict_outputs_losses_weights_and_metrics(rows, classes):
    teacher, student = two_heads("t"), two_heads("s")
    labels = {"color": classes, "shape": classes}
    distiller = keras_kd.Distiller(teacher, student, alpha=0.5)
    distiller.compile(
        keras.optimizers.SGD(0.0),
        loss={
            "color": FROM_LOGITS,
            "shape": keras.losses.SparseCategoricalCrossentropy(),
        },
        loss_weights={"color": 1.0, "shape": 3.0},
        metrics={"color": ["accuracy"]},
    )
    logs = first_logs(distiller, rows, labels)
    t, s = (
        {k: v.numpy() for k, v in m(rows).items()} for m in (teacher, student)
    )
    kd = numpy_kd(t["color"], s["color"]) + numpy_kd(
        np.log(t["shape"]), np.log(s["shape"])
    )
    index = np.arange(32)
    ce = -log_softmax(s["color"])[index, classes] - 3 * np.log(
        s["shape"][index, classes]
    )
    assert logs["soft_targets"] == pytest.approx(kd.mean(), rel=1e-4)
    assert logs["student_loss"] == pytest.approx(ce.mean(), rel=1e-5)
    assert "color_accuracy" in logs
    one = keras_kd.Distiller(
        teacher, student, keras_kd.losses.SoftTargets(output="color"), alpha=1.0
    )
    one.compile(keras.optimizers.SGD(0.0))
    kd = numpy_kd(t["color"], s["color"]).mean()
    assert first_logs(one, rows)["loss"] == pytest.approx(kd, rel=1e-4)


def tagger(name):
    return keras.Sequential(
        [
            keras.Input((5,), dtype="int32"),
            keras.layers.Embedding(7, 4, mask_zero=True),
            keras.layers.Dense(3),
        ],
        name=name,
    )


def test_13_masked_positions_do_not_count():
    rng = np.random.default_rng(0)
    tokens = rng.integers(1, 7, (6, 5))
    tokens[:, 3:] = 0
    tokens[0, 1:] = 0
    teacher, student = tagger("t"), tagger("s")
    kd = numpy_kd(teacher(tokens).numpy(), student(tokens).numpy())
    ce = -log_softmax(student(tokens).numpy())[..., 1]
    valid = tokens != 0
    assert abs(kd.mean() - kd[valid].mean()) > 1e-4 * kd.mean()
    distiller = keras_kd.Distiller(teacher, student, agreement=True)
    distiller.compile(keras.optimizers.SGD(0.0), loss=FROM_LOGITS)
    weights = rng.uniform(0, 2, (6, 5)).astype("float32")
    logs = first_logs(distiller, tokens, np.ones((6, 5), "int32"))
    assert logs["soft_targets"] == pytest.approx(kd[valid].mean(), rel=1e-4)
    assert logs["student_loss"] == pytest.approx(ce[valid].mean(), rel=1e-4)
    same = teacher(tokens).numpy().argmax(-1) == student(tokens).numpy().argmax(
        -1
    )
    assert logs["agreement"] == pytest.approx(same[valid].mean(), rel=1e-5)
    logs = first_logs(
        distiller, tokens, np.ones((6, 5), "int32"), sample_weight=weights
    )
    assert logs["soft_targets"] == pytest.approx(
        (kd * weights)[valid].sum() / valid.sum(), rel=1e-4
    )


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_14_mixed_precision_student_of_a_float32_teacher(rows, classes, policy):
    teacher = dense(3, hidden=9)
    student = keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(5, "relu", dtype=policy),
            keras.layers.Dense(3, dtype=policy),
        ]
    )
    distiller = keras_kd.Distiller(teacher, student)
    distiller.compile("adam", loss=FROM_LOGITS)
    scaled = isinstance(
        distiller.optimizer, keras.optimizers.LossScaleOptimizer
    )
    assert scaled == (policy == "mixed_float16")
    exact = numpy_kd(
        teacher(rows).numpy(), student(rows).numpy().astype("float32")
    )
    before = student.get_weights()[0]
    logs = first_logs(distiller, rows, classes)
    assert logs["soft_targets"] == pytest.approx(exact.mean(), rel=2e-2)
    assert np.abs(student.get_weights()[0] - before).max() > 1e-4


def test_15_half_given_layers_are_refused():
    with pytest.raises(ValueError, match=r"`teacher_layer` .* counterpart"):
        FeatureMSE(student_layer="hidden")
    with pytest.raises(ValueError, match=r"`student_layer` .* counterpart"):
        keras_kd.Distiller(
            dense(3),
            dense(3),
            keras.distillation.FeatureDistillation(teacher_layer_name="hidden"),
        )
    loss = keras_kd.losses.SoftTargets(weight=3.0)
    distiller = keras_kd.Distiller(dense(3), dense(3), loss, alpha=1.0)
    distiller.compile(keras.optimizers.SGD(0.0))
    logs = first_logs(distiller, np.ones((4, 6), "float32"))
    assert logs["loss"] == pytest.approx(3 * logs["soft_targets"], rel=1e-6)


@keras.saving.register_keras_serializable("tests")
class Subclassed(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.backbone = dense(5, name="backbone")
        self.head = keras.layers.Dense(3, "softmax")

    def call(self, inputs):
        return self.head(self.backbone(inputs))


def test_16_nested_and_subclassed_models_are_tapped(rows):
    teacher, student = Subclassed(name="t"), Subclassed(name="s")
    teacher(rows), student(rows)
    losses = [
        keras_kd.losses.SoftTargets(1.0),
        FeatureMSE(
            teacher_layer="backbone/hidden", student_layer="backbone/hidden"
        ),
    ]
    distiller = keras_kd.Distiller(teacher, student, losses, alpha=1.0)
    distiller.compile(keras.optimizers.SGD(0.0))
    logs = first_logs(distiller, rows)
    p, q = np.log(teacher(rows).numpy()), np.log(student(rows).numpy())
    assert logs["soft_targets"] == pytest.approx(
        numpy_kd(p, q, 1.0).mean(), rel=1e-3
    )
    hidden = [
        m.backbone.get_layer("hidden")(rows).numpy() for m in (teacher, student)
    ]
    assert logs["feature_mse"] == pytest.approx(
        ((hidden[0] - hidden[1]) ** 2).mean(), rel=1e-5
    )


def test_17_student_loss_is_logged_at_weight_zero(rows, classes):
    teacher, student = counted("t"), dense(3)
    distiller = keras_kd.Distiller(teacher, student, student_loss_weight=0.0)
    distiller.compile(keras.optimizers.SGD(0.0), loss=FROM_LOGITS)
    logs = first_logs(distiller, rows, classes, validation_data=(rows, classes))
    exact = -log_softmax(student(rows).numpy())[np.arange(32), classes].mean()
    assert logs["student_loss"] == pytest.approx(exact, rel=1e-5)
    assert logs["val_loss"] == pytest.approx(exact, rel=1e-5)
    assert logs["loss"] == pytest.approx(0.9 * logs["soft_targets"], rel=1e-5)
    assert teacher.get_layer("count").counts == (0.0, 1.0)


def test_18_terms_agreement_schedules_and_free_weights(rows, classes):
    ramp = keras.optimizers.schedules.PolynomialDecay(4.0, 2, 1.0)
    losses = [
        keras_kd.losses.SoftTargets(ramp, name="soft"),
        keras_kd.losses.LogitsMSE(weight=ramp, name="mse"),
    ]
    teacher, student = dense(3), dense(3)
    t, s = teacher(rows).numpy(), student(rows).numpy()
    distiller = keras_kd.Distiller(
        teacher,
        student,
        losses,
        alpha=keras.optimizers.schedules.PolynomialDecay(1.0, 2, 0.2),
        student_loss_weight=5.0,
        agreement=True,
    )
    distiller.compile(keras.optimizers.SGD(0.0), loss=FROM_LOGITS)
    ce = -log_softmax(s)[np.arange(32), classes].mean()
    mse = ((t - s) ** 2).mean()
    for temperature, alpha in ((4.0, 1.0), (2.5, 0.6), (1.0, 0.2), (1.0, 0.2)):
        logs = first_logs(distiller, rows, classes)
        assert set(logs) == {"loss", "student_loss", "soft", "mse", "agreement"}
        soft = numpy_kd(t, s, temperature).mean()
        assert logs["soft"] == pytest.approx(soft, rel=1e-4)
        assert logs["mse"] == pytest.approx(mse, rel=1e-5)
        assert logs["loss"] == pytest.approx(
            5 * ce + alpha * (soft + temperature * mse), rel=1e-4
        )
        assert logs["agreement"] == pytest.approx(
            (t.argmax(-1) == s.argmax(-1)).mean(), rel=1e-6
        )


def test_19_a_confidently_wrong_student_recovers():
    teacher = np.array([[0.0, 50.0, 0.0]], "float32")
    student = tf.Variable([[200.0, 0.0, 0.0]])
    with tf.GradientTape() as tape:
        loss = keras_kd.losses.SoftTargets(1.0)(teacher, student)
    slope = tape.gradient(loss, student).numpy()
    assert loss.numpy()[0] == pytest.approx(200.0, rel=1e-6)
    assert slope[0] == pytest.approx([1.0, -1.0, 0.0], abs=1e-6)
    half = keras_kd.losses.SoftTargets(4.0)(
        teacher.astype("float16"), student.numpy().astype("float16")
    )
    exact = numpy_kd(teacher, student.numpy())
    assert half.numpy().dtype == np.float32
    assert half.numpy() == pytest.approx(exact, rel=1e-5)


@pytest.mark.parametrize(
    "mode",
    [
        {"jit_compile": True},
        {"run_eagerly": True},
        {"steps_per_execution": 2},
    ],
    ids=str,
)
def test_20_xla_eager_and_steps_per_execution_agree(rows, classes, mode):
    results = []
    for settings in ({}, mode):
        keras.utils.set_random_seed(3)
        teacher, student = dense(3), dense(3)
        distiller = keras_kd.Distiller(teacher, student)
        distiller.compile("adam", loss=FROM_LOGITS, **settings)
        history = distiller.fit(
            rows, classes, batch_size=8, shuffle=False, verbose=0
        )
        results.append((history.history, student.get_weights()))
    (one, weights), (other, again) = results
    for name, values in one.items():
        assert other[name] == pytest.approx(values, rel=1e-4)
    for a, b in zip(weights, again, strict=True):
        np.testing.assert_allclose(a, b, atol=2e-5)
