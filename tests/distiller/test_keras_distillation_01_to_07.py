"""What `keras.distillation` 3.15 gets wrong, and ours does right: 01 to 07.

One test an item, numbered as measured; each fails with the behaviour of
`keras.distillation`.
"""

import keras
import numpy as np
import pytest
from restated import log_softmax
from restated import soft_targets
from toys import FROM_LOGITS
from toys import FeatureMSE
from toys import counted
from toys import dense
from toys import first_logs

import keras_kd

pytestmark = pytest.mark.eager


def test_01_default_is_knowledge_distillation(rows):
    teacher, student = dense(3, name="t"), dense(3, name="s")
    exact = soft_targets(teacher(rows).numpy(), student(rows).numpy()).mean()
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
    exact = soft_targets(*logits).mean()
    assert exact > 0.01
    for teacher, student in (plain, headed, (plain[0], headed[1])):
        # A linear unit alone may be a number; the other model tells.
        alone = units == 1 and student is plain[1]
        told = {"student_output": "binary_logits"} if alone else {}
        distiller = keras_kd.Distiller(teacher, student, alpha=1.0, **told)
        distiller.compile(keras.optimizers.SGD(0.0))
        assert first_logs(distiller, rows)["loss"] == pytest.approx(
            exact, rel=1e-5
        )


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
    kd = soft_targets(teacher(rows).numpy(), student(rows).numpy())
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
