"""Quantize-aware students under a teacher cache, and from `shrink`."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_graphs import cnn
from toys import FROM_LOGITS
from toys import FeatureMSE

import keras_kd
from keras_kd import export
from keras_kd.quantization import quantize_aware
from keras_kd.students import shrink


@pytest.fixture(scope="module")
def rows():
    generator = np.random.default_rng(0)
    images = generator.random((32, 8, 8, 1)).astype("float32")
    return images, generator.integers(0, 10, 32)


def train(teacher, student, data):
    """Two steps under the teacher's logits and one of its layers."""
    losses = [
        keras_kd.losses.SoftTargets(2.0),
        FeatureMSE(teacher_layer="first", student_layer="first"),
    ]
    distiller = keras_kd.Distiller(teacher, student, losses, alpha=0.7)
    distiller.compile(keras.optimizers.SGD(0.01), FROM_LOGITS)
    logs = distiller.fit(data, verbose=0, shuffle=False).history
    return {name: values[0] for name, values in logs.items()}


@pytest.mark.slow
@pytest.mark.parametrize("activations", ["moving_range", "learned_step"])
def test_a_cache_teaches_what_its_teacher_does(rows, activations, tmp_path):
    keras.utils.set_random_seed(0)
    teacher, plain = cnn(None), cnn(None)
    cache = keras_kd.TeacherCache.build(
        tmp_path, teacher, rows, layers=["first"], dtype="float32", verbose=0
    )
    data = tf.data.Dataset.from_tensor_slices(rows).batch(16)
    live, cached = (
        quantize_aware(plain, activations=activations) for _ in range(2)
    )
    before = [weight.copy() for weight in live.get_weights()]
    expected = train(teacher, live, data)
    assert train(cache, cached, cache.join(data)) == pytest.approx(
        expected, rel=1e-5
    )
    pairs = zip(live.weights, cached.get_weights(), strict=True)
    for weight, found in pairs:
        np.testing.assert_allclose(
            weight, found, atol=1e-6, err_msg=weight.path
        )
    # Ranges and kernels moved, and both steps were counted.
    changed = [
        weight.path
        for weight, old in zip(live.weights, before, strict=True)
        if not np.array_equal(weight, old)
    ]
    assert any("kernel" in path for path in changed)
    steps = [w for w in live.weights if w.path.endswith("quantized/steps")]
    assert {int(weight) for weight in steps} == {2}


@pytest.mark.slow
@pytest.mark.export
def test_a_shrunk_teacher_becomes_an_int8_file(rows, tmp_path):
    teacher = cnn("softmax", filters=(16, 32))
    student = quantize_aware(shrink(teacher, width=0.5))
    assert student.get_layer("first").filters == 8
    data = tf.data.Dataset.from_tensor_slices(rows).batch(16)
    logs = train(shrink(teacher, width=0.5), student, data)
    assert all(np.isfinite(value) for value in logs.values())
    path = tmp_path / "student.tflite"
    result = export.tflite(student, path, "int8", verify=rows)
    assert (result.kind, result.passed) == ("int8", True)
    file = keras_kd.evaluation.litert.LiteRTModel(path)
    gap = np.abs(file.predict(rows[0]) - student.predict(rows[0], verbose=0))
    assert gap.max() <= 1.001 * file.output_details[0].scale
