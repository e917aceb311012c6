"""Channel-wise distillation, restated one channel at a time."""

import keras
import numpy as np
import pytest
from loss_references import STUDENT_MAPS
from loss_references import TEACHER_MAPS
from loss_references import check_golden
from loss_references import check_reference
from loss_references import number
from loss_references import reference_cases
from loss_rows import Row
from restated import log_softmax

import keras_kd
from keras_kd.losses import ChannelWise

RNG = np.random.default_rng(203)
TEACHER = 3 * RNG.normal(size=(6, 3, 4, 2))
STUDENT = 3 * RNG.normal(size=(6, 3, 4, 2))


def channel_wise(teacher, student, labels, temperature=2.0):
    values = []
    for t, s in zip(teacher, student, strict=True):
        rows = []
        for c in range(t.shape[-1]):
            p = log_softmax(t[..., c].reshape(1, -1) / temperature)
            q = log_softmax(s[..., c].reshape(1, -1) / temperature)
            rows.append((np.exp(p) * (p - q)).sum())
        values.append(temperature**2 * np.mean(rows))
    return np.array(values)


CONTRACT = Row(
    ChannelWise,
    channel_wise,
    {"temperature": 2.0},
    teacher=TEACHER,
    student=STUDENT,
)


@pytest.mark.parametrize(
    ("temperature", "value", "norm"),
    [(1.0, 0.35073820, 0.02094293), (4.0, 0.37656952, 0.02208644)],
)
def test_golden_values(temperature, value, norm):
    loss = ChannelWise(temperature)
    check_golden(loss, TEACHER_MAPS, STUDENT_MAPS, value, norm)


@pytest.mark.parametrize("case", reference_cases("cwd"))
def test_reference(case):
    loss = ChannelWise(
        number(case, "temperature"), data_format="channels_first"
    )
    check_reference(case, loss, "features")


def test_an_adapter_gives_the_channels():
    with pytest.raises(ValueError, match="`adapter` to be a layer that gives"):
        ChannelWise()(TEACHER, STUDENT[..., :1])
    adapter = keras.layers.Conv2D(2, 1, dtype="float64")
    loss = ChannelWise(2.0, adapter)
    found = loss(TEACHER, STUDENT[..., :1]).numpy()
    kernel, bias = (np.asarray(w, "float64") for w in adapter.weights)
    adapted = STUDENT[..., :1] @ kernel[0, 0] + bias
    assert found == pytest.approx(channel_wise(TEACHER, adapted, None))


def test_the_adapter_is_trained_and_saved(tmp_path):
    def model(filters, name):
        return keras.Sequential(
            [
                keras.Input((4, 4, 1)),
                keras.layers.Conv2D(filters, 3, name="maps"),
                keras.layers.Flatten(),
                keras.layers.Dense(2),
            ],
            name=name,
        )

    loss = ChannelWise(
        adapter=keras.layers.Conv2D(3, 1, name="adapter"),
        teacher_layer="maps",
        student_layer="maps",
    )
    student = model(1, "student")
    distiller = keras_kd.Distiller(
        model(3, "teacher"), student, loss, alpha=1.0
    )
    distiller.compile(keras.optimizers.Adam(0.01), run_eagerly=True)
    x = RNG.normal(size=(8, 4, 4, 1)).astype("float32")
    before = None
    for _ in range(2):
        distiller.fit(x, epochs=1, verbose=0)
        kernel = loss.adapter.kernel.numpy()
        assert before is None or np.abs(kernel - before).max() > 0
        before = kernel
    distiller.save(tmp_path / "distiller.keras")
    loaded = keras.models.load_model(tmp_path / "distiller.keras")
    (restored,) = loaded.distillation_losses
    np.testing.assert_array_equal(restored.adapter.kernel, before)
    assert student.count_params() == model(1, "other").count_params()


def test_a_list_of_adapters_has_one_for_each_layer():
    adapters = [keras.layers.Dense(3, name=name) for name in ("a", "b")]
    loss = ChannelWise(adapter=adapters)
    maps, narrow = np.ones((2, 4, 3)), np.ones((2, 4, 1))
    loss([maps, maps], [narrow, np.ones((2, 4, 2))])
    assert [each.kernel.shape[0] for each in adapters] == [1, 2]
    with pytest.raises(ValueError, match=r"list of 1, one for each layer"):
        ChannelWise(adapter=adapters)(maps, narrow)
