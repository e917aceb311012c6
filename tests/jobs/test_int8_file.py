"""The int8 file of a student, made again where it loses."""

import dataclasses
import io

import pytest

import keras_kd
from keras_kd.core.errors import ExportMismatchError
from keras_kd.core.progress import Progress
from keras_kd.jobs import int8_file

Check = dataclasses.make_dataclass("Check", ["path"])


@pytest.mark.parametrize(
    ("accuracies", "kept", "trains"),
    [
        ([0.90, 0.90], "rounded", False),
        ([0.80, 0.90, 0.88], "aware", True),
        ([0.80, 0.90, 0.70], "rounded", True),
        ([None, 0.90, 0.88], "aware", True),
    ],
    ids=["loses nothing", "gains", "does not gain", "was refused"],
)
def test_a_file_that_loses_is_made_with_int8_training(
    monkeypatch, tmp_path, accuracies, kept, trains
):
    """Accuracies of the first file, the student, and later files."""
    found = iter(accuracies)
    trained = []

    def export(student, path, splits, runtime):
        value = next(found)
        if value is None:
            raise ExportMismatchError("it is off")
        return int8_file.Int8File(student, Check(path), value)

    for name in ("s.tflite.json", "s_aware.tflite", "s_aware.tflite.json"):
        (tmp_path / name).touch()
    monkeypatch.setattr(int8_file, "_export", export)
    monkeypatch.setattr(int8_file, "accuracy_of", lambda *_: next(found))
    student = keras_kd.students.mlp((4,), 2, hidden=(3,))
    result = int8_file.best_int8_file(
        student,
        tmp_path / "s.tflite",
        None,
        trained.append,
        Progress(io.StringIO()),
    )
    assert bool(trained) == trains
    assert (result.student is student) == (kept == "rounded")
    assert str(result.check.path) == str(tmp_path / "s.tflite")
    assert not (tmp_path / "s_aware.tflite").exists() or not trains
    assert next(found, None) is None


@pytest.mark.parametrize(
    ("budget", "simulated"),
    [({"size_bytes": 9}, "litert"), ({"arena_bytes": 9}, "tflm")],
)
def test_int8_training_simulates_the_device(
    monkeypatch, tmp_path, budget, simulated
):
    found, trained = iter([0.8, 0.9, 0.7]), []
    monkeypatch.setattr(
        int8_file,
        "_export",
        lambda student, path, *_: int8_file.Int8File(
            student, Check(path), next(found)
        ),
    )
    monkeypatch.setattr(int8_file, "accuracy_of", lambda *_: next(found))
    for name in ("s_aware.tflite", "s_aware.tflite.json"):
        (tmp_path / name).touch()
    int8_file.best_int8_file(
        keras_kd.students.mlp((4,), 2, hidden=(3,)),
        tmp_path / "s.tflite",
        None,
        trained.append,
        Progress(io.StringIO()),
        int8_file.runtimes_for(budget),
    )
    [aware] = trained
    assert keras_kd.quantization.simulated_runtime(aware) == simulated


def test_without_time_for_int8_training_the_loss_is_said(
    monkeypatch, tmp_path, capsys
):
    found = iter([0.8, 0.9])
    monkeypatch.setattr(
        int8_file,
        "_export",
        lambda student, path, *_: int8_file.Int8File(
            student, path, next(found)
        ),
    )
    monkeypatch.setattr(int8_file, "accuracy_of", lambda *_: next(found))
    result = int8_file.best_int8_file(
        None,
        tmp_path / "s.tflite",
        None,
        None,
        Progress(io.StringIO()),
        is_late=lambda: True,
    )
    assert result.accuracy == 0.8
    assert "The file loses 10.0 points" in capsys.readouterr().err
