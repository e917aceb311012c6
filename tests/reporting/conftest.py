"""A small report with every part, shared by the tests of the page."""

import keras
import numpy as np
import pytest

import keras_kd
from keras_kd.export import Verification
from keras_kd.export.layer_errors import LayerError

EVALUATIONS = {
    "teacher": keras_kd.Evaluation(
        "teacher.keras",
        500,
        accuracy=0.98,
        agreement=1.0,
        per_class_recall=[1.0, 0.96, None],
        size_bytes=90_000,
        latency_ms_p50=1.5,
        latency_source="tf.function, 2 threads",
    ),
    "student": keras_kd.Evaluation(
        "student.tflite",
        500,
        accuracy=0.97,
        agreement=0.95,
        per_class_recall=[0.98, 0.96, None],
        size_bytes=9_000,
        latency_ms_p50=0.25,
        latency_source="LiteRT interpreter, 1 thread",
    ),
}
HISTORIES = {
    "teacher": {"loss": [2.0, 0.5], "val_loss": [2.1, 0.7]},
    "student": {"loss": [3.0, 1.0], "soft_targets": [4.0, 1.5]},
}
TRIALS = [
    {
        "trial_id": f"{place}",
        "values": {"width": width, "block": block},
        "status": "feasible" if accuracy else "infeasible",
        "reason": "" if accuracy else "too many bytes",
        "objective": accuracy,
        "size_bytes": size,
    }
    for place, (width, block, accuracy, size) in enumerate(
        [
            (0.25, "plain", 0.9, 10_000),
            (0.5, "plain", 0.95, 30_000),
            (0.4, "residual", 0.89, 20_000),
            (0.9, "plain", None, 80_000),
        ]
    )
]
VERIFICATION = Verification(
    "out/student.tflite",
    "int8",
    num_examples=256,
    max_abs_difference=0.3,
    mean_abs_difference=0.1,
    output_range=20.0,
    tolerance=0.2,
    agreement=0.99,
    size_bytes=9_000,
    input_dtype="int8",
    output_dtype="int8",
    passed=True,
)
WORST = LayerError("dense", "FULLY_CONNECTED", 0.2, 0.1)
LABELS = np.array([0, 1, 2, 0])


@pytest.fixture(scope="session")
def small_models():
    """A teacher of 3 classes, and a student that is wrong about class 0."""
    built = {}
    for name, bias in (("teacher", 0.0), ("student", -9.0)):
        model = keras.Sequential(
            [keras.Input((3,)), keras.layers.Dense(3)], name=name
        )
        model.set_weights([5 * np.eye(3), np.array([bias, 0, 0])])
        built[name] = model
    return built


@pytest.fixture(scope="session")
def path(tmp_path_factory, small_models):
    """The page."""
    return keras_kd.report(
        tmp_path_factory.mktemp("report") / "report.html",
        EVALUATIONS,
        title="Title",
        ship="student",
        histories=HISTORIES,
        trials=TRIALS,
        dataset=(
            np.eye(3, dtype="float32")[[0, 1, 2, 0]],
            np.array([0, 1, 2, 0]),
        ),
        models=small_models,
        class_names=["ape", "bee", "cat"],
        verifications={"student": VERIFICATION},
        rounding={
            "student": [LayerError("dense", "FULLY_CONNECTED", 0.2, 0.1)]
        },
        made={"seed": 0, "data": {"num_train": 10}},
    )


@pytest.fixture
def evaluations():
    """What was measured, the teacher first."""
    return EVALUATIONS


@pytest.fixture
def histories():
    """Loss parts over two epochs."""
    return HISTORIES


@pytest.fixture
def trials():
    """Three trained trials and one over the budget."""
    return TRIALS
