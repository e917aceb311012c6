"""What an untrained student is said to cost, and what it costs."""

import keras
import numpy as np
import pytest

import keras_kd
from keras_kd.search.cost import quantities
from keras_kd.search.cost.memory import peak_memory

QUANTIZATIONS = ("float32", "float16", "dynamic_range", "int8")
layers = keras.layers

pytestmark = pytest.mark.export


def small(shape=(8, 8, 1)):
    """Normalization, biases of one length, and kernels of every kind."""
    return keras.Sequential(
        [
            keras.Input(shape),
            layers.Conv2D(16, 3, padding="same", use_bias=False, name="a"),
            layers.BatchNormalization(name="b"),
            layers.ReLU(name="c"),
            layers.Conv2D(16, 3, strides=2, activation="relu", name="d"),
            layers.DepthwiseConv2D(3, name="e"),
            layers.GlobalAveragePooling2D(name="f"),
            layers.Dense(16, activation="relu", name="g"),
            layers.Dense(3, name="h"),
        ],
        name="small",
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The exported files of a trained `small`, by quantization."""
    keras.utils.set_random_seed(1)
    generator = np.random.default_rng(0)
    x = generator.random((64, 8, 8, 1)).astype("float32")
    student = small()
    student.compile("adam", "mse")
    student.fit(x, generator.random((64, 3)), verbose=0)
    folder = tmp_path_factory.mktemp("trained")
    files = {key: folder / f"{key}.tflite" for key in QUANTIZATIONS}
    keras_kd.export.tflite_files(student, files, calibration=x, verify=False)
    return {key: path.stat().st_size for key, path in files.items()}


@pytest.mark.slow
@pytest.mark.parametrize("quantization", QUANTIZATIONS)
def test_the_file_is_as_large_as_that_of_the_trained_student(
    quantization, trained
):
    student = small()
    with quantities.converted(student, quantization) as path:
        size = path.stat().st_size
    assert abs(size - trained[quantization]) <= 16
    assert quantities.least_bytes(student, quantization) <= size


@pytest.mark.slow
def test_measuring_leaves_every_bit_of_the_student():
    student = small()
    student.add(layers.Dropout(0.5, seed=3))
    student.compile("adam", "mse")
    before = [np.array(v.numpy()) for v in student.variables]
    with quantities.converted(student, "float32") as path:
        assert path.stat().st_size > 0
    after = [v.numpy() for v in student.variables]
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_weights_come_back_after_an_error():
    student = small()
    before = student.get_weights()
    during = []

    def fail():
        with quantities._as_if_trained(student):
            during.extend(student.get_weights())
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert not any(map(np.array_equal, during, before))
    for one, other in zip(before, student.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_bytes_at_least_are_the_kernels():
    # 9 x 16 and 9 x 16 x 16 in the convolutions, 16 x 16 and 16 x 3 in the
    # dense layers; not the depthwise kernel, biases and normalization.
    kernels = 144 + 2304 + 256 + 48
    assert quantities.least_bytes(small(), "float32") == 4 * kernels
    assert quantities.least_bytes(small(), "float16") == 2 * kernels
    assert quantities.least_bytes(small(), "int8") == kernels


def test_a_kernel_that_is_used_twice_counts_once():
    inputs = keras.Input((4,))
    dense = layers.Dense(4)
    model = keras.Model(inputs, dense(dense(inputs)))
    assert quantities.least_bytes(model, "float32") == 4 * 16


def test_nothing_is_known_at_least_of_a_subclassed_model():
    class Student(keras.Model):
        def __init__(self):
            super().__init__()
            self.unused = layers.Dense(100)
            self.head = layers.Dense(3)

        def call(self, x):
            return self.head(x)

    student = Student()
    student.unused.build((None, 4))
    student(np.zeros((1, 4)))
    assert quantities.least_bytes(student, "float32") == 0


def peak_of(model, quantization):
    with quantities.converted(model, quantization) as path:
        return quantities.memory(path)


@pytest.mark.slow
def test_peak_memory_of_a_chain_is_its_largest_pair():
    model = keras.Sequential(
        [
            keras.Input((8, 8, 2)),
            layers.Conv2D(4, 3, padding="same"),
            layers.Conv2D(6, 3, padding="same"),
            layers.GlobalAveragePooling2D(),
        ]
    )
    # 64 places: 4 channels go in, 6 come out.
    assert peak_of(model, "float32") == 64 * (4 + 6) * 4
    assert peak_of(model, "int8") == 64 * (4 + 6)
    # float16 weights are widened when they are used: no activations.
    assert peak_of(model, "float16") == 64 * (4 + 6) * 4


def test_peak_memory_holds_what_a_shortcut_still_needs():
    inputs = keras.Input((8, 8, 2))
    start = layers.Conv2D(4, 3, padding="same")(inputs)
    middle = layers.Conv2D(8, 3, padding="same")(start)
    end = layers.Conv2D(4, 3, padding="same")(middle)
    model = keras.Model(inputs, layers.Add()([start, end]))
    # While the last convolution runs, `start` waits for the addition.
    assert peak_of(model, "float32") == 64 * (4 + 8 + 4) * 4


@pytest.mark.slow
def test_peak_memory_of_a_loop_counts_its_body():
    model = keras.Sequential([keras.Input((5, 3)), layers.LSTM(4)])
    unrolled = keras.Sequential(
        [keras.Input((5, 3)), layers.LSTM(4, unroll=True)]
    )
    # The states, the inputs and the four gates of one step at least.
    least = 4 * (5 * 3 + 2 * 4 + 4 * 4)
    assert peak_of(model, "float32") >= least
    assert peak_of(unrolled, "float32") >= least


def test_flops_are_those_of_evaluate():
    student = small()
    x = np.zeros((2, 8, 8, 1), "float32")
    result = keras_kd.evaluate(student, x, latency=False, model_output="logits")
    assert quantities.flops(student) == result.flops


@pytest.mark.slow
def test_latency_is_that_of_the_file():
    with quantities.converted(small(), "float32") as path:
        quick = quantities.latency(path, 1, None)
    large = keras_kd.students.convnet((64, 64, 3), 3)
    with quantities.converted(large, "float32") as path:
        slow = quantities.latency(path, 1, None)
    assert 0 < 4 * quick < slow < 1000


@pytest.mark.parametrize(
    ("medians", "limit", "expected", "calls"),
    [
        ([3.0], 1.0, 3.0, 1),
        ([0.3], 1.0, 0.3, 1),
        ([1.2, 1.1, 0.9, 1.3], 1.0, 0.9, 4),
        ([1.2, 5.0, 0.4], 1.0, 0.4, 3),
        ([9.0, 8.0, 7.0, 8.0], None, 7.0, 4),
    ],
    ids=["far over", "far under", "near", "near, then under", "no limit"],
)
def test_more_rounds_where_the_limit_is_near(
    monkeypatch, medians, limit, expected, calls
):
    taken = []

    def time_file(path, num_runs, num_threads):
        taken.append(num_runs)
        p50 = medians[len(taken) - 1]
        return keras_kd.evaluation.latency.Latency(p50, p50, "test")

    monkeypatch.setattr(quantities, "file_latency", time_file)
    assert quantities.latency("x.tflite", 1, limit) == expected
    assert len(taken) == calls


def test_a_slow_file_runs_less_often(monkeypatch):
    runs = []

    def time_file(path, num_runs, num_threads):
        runs.append(num_runs)
        return keras_kd.evaluation.latency.Latency(20.0, 20.0, "test")

    monkeypatch.setattr(quantities, "file_latency", time_file)
    quantities.latency("x.tflite", 1, 20.0)
    assert runs == [1, 10, 10, 10]


def test_an_operator_that_devices_lack_is_refused():
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.ops.erfinv(inputs))
    with (
        pytest.raises(RuntimeError, match="no LiteRT operator for .*Erfinv"),
        quantities.converted(model, "float32"),
    ):
        pass


def test_int8_of_loops_that_cannot_be_unrolled_is_refused():
    model = keras.Sequential([keras.Input((900, 3)), layers.LSTM(4, name="r")])
    with (
        pytest.raises(ValueError, match="of 900 steps.*loop of r"),
        quantities.converted(model, "int8"),
    ):
        pass


def test_peak_memory_reads_a_file_without_operators():
    model = keras.Sequential([keras.Input((4,)), layers.Identity()])
    with quantities.converted(model, "float32") as path:
        assert peak_memory(path.read_bytes()) >= 16
