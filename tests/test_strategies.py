"""strategies.strategy: names, devices, batches, two logical CPUs."""

import pytest
import tensorflow as tf
from processes import run_program

from keras_kd.strategies import strategy

# Logical devices can only be made before TensorFlow starts, so the checks
# that need two of them run in a process of their own.
TWO_CPUS = """
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(
    cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
import numpy as np
import keras
from keras_kd.strategies import strategy

try:
    strategy("mirrored", devices=["cpu:0", "cpu:1"], batch_size=7)
    raise SystemExit("an uneven batch passed")
except ValueError as error:
    assert "multiple of the 2 replicas" in str(error), error
    assert "use 8" in str(error), error

weights = []
for chosen in (
    strategy("none", batch_size=7),
    strategy("mirrored", devices=["cpu:0", "/cpu:1"], batch_size=8),
):
    with chosen.scope():
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
        model.compile("sgd", "mse")
    x = np.random.default_rng(0).normal(size=(16, 3))
    model.fit(x, x.sum(1), batch_size=8, epochs=2, shuffle=False, verbose=0)
    weights.append(model.get_weights())
    print("replicas", chosen.num_replicas_in_sync)
difference = max(np.abs(a - b).max() for a, b in zip(*weights))
assert difference < 1e-6, difference
"""


def test_none_is_the_current_strategy():
    assert strategy() is tf.distribute.get_strategy()
    assert strategy("none", batch_size=33).num_replicas_in_sync == 1


def test_mirrored_on_one_device():
    chosen = strategy("mirrored", devices=["CPU:0"], batch_size=3)
    assert isinstance(chosen, tf.distribute.MirroredStrategy)
    assert chosen.num_replicas_in_sync == 1


@pytest.mark.slow
def test_two_replicas_train_as_one():
    result = run_program(TWO_CPUS)
    assert result.stdout.split("\n")[:2] == ["replicas 1", "replicas 2"]


@pytest.mark.parametrize("name", ["tpu", "multi_worker_mirrored"])
def test_reserved_names_say_what_to_use(name):
    with pytest.raises(NotImplementedError, match=f"{name}.*Use 'mirrored'"):
        strategy(name)


@pytest.mark.parametrize(
    ("kwargs", "error", "message"),
    [
        ({"name": "miror"}, ValueError, "Did you mean 'mirrored'"),
        ({"name": "horovod"}, ValueError, "'none', 'mirrored', 'multi_worker"),
        ({"name": None}, ValueError, "name=None"),
        ({"devices": ["CPU:0"]}, ValueError, "Use name='mirrored'"),
        (
            {"name": "mirrored", "devices": ["GPU:77"]},
            ValueError,
            r"out of CPU:0.*devices=\['GPU:77'\]",
        ),
        (
            {"name": "mirrored", "devices": ["CPU:0", "cpu:0"]},
            ValueError,
            "different devices",
        ),
        ({"name": "mirrored", "devices": []}, ValueError, r"devices=\[\]"),
        ({"name": "mirrored", "devices": "CPU:0"}, TypeError, "a list of"),
        ({"batch_size": 0}, ValueError, "batch_size=0"),
        ({"batch_size": 8.0}, TypeError, "an integer"),
    ],
)
def test_bad_arguments(kwargs, error, message):
    with pytest.raises(error, match=message):
        strategy(**kwargs)
