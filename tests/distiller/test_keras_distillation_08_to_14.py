"""What `keras.distillation` 3.15 gets wrong, and ours does right: 08 to 14.

One test an item, numbered as measured; each fails with the behaviour of
`keras.distillation`.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf
from restated import log_softmax
from restated import soft_targets
from toys import FROM_LOGITS
from toys import counted
from toys import dense
from toys import first_logs

import keras_kd

pytestmark = pytest.mark.eager


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
    kd = soft_targets(t["color"], s["color"]) + soft_targets(
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
    kd = soft_targets(t["color"], s["color"], 4.0).mean()
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
    kd = soft_targets(teacher(tokens).numpy(), student(tokens).numpy())
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
    exact = soft_targets(
        teacher(rows).numpy(), student(rows).numpy().astype("float32")
    )
    before = student.get_weights()[0]
    logs = first_logs(distiller, rows, classes)
    assert logs["soft_targets"] == pytest.approx(exact.mean(), rel=2e-2)
    assert np.abs(student.get_weights()[0] - before).max() > 1e-4
