"""`compress`: one call from a teacher to a verified file."""

import dataclasses
import io
import itertools
import json

import keras
import numpy as np
import pytest

import keras_kd
from keras_kd.core.progress import Progress
from keras_kd.jobs import compressing as module
from keras_kd.jobs import int8_file
from keras_kd.jobs.clock import Clock
from keras_kd.jobs.compressed import make_setting
from keras_kd.search import StudentTuner

pytestmark = [pytest.mark.untraced, pytest.mark.export]
OPTIONS = {
    "trials": 2,
    "epochs": 2,
    "max_train": 128,
    "batch_size": 32,
    "learning_rate": 1e-2,
}


@pytest.fixture(scope="module")
def trained():
    """A teacher of the digits that is right on most of them."""
    keras.utils.set_random_seed(0)
    splits = keras_kd.data.load("digits", max_train=400)
    teacher = keras_kd.students.mlp((8, 8, 1), 10, hidden=(32,))
    teacher.compile(
        keras.optimizers.Adam(1e-2),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    teacher.fit(splits.train, epochs=6, verbose=0)
    return teacher


def compress(teacher, output, **options):
    stream = io.StringIO()
    options = {"size_bytes": "100kB", **OPTIONS, **options}
    return keras_kd.compress(
        teacher, "digits", output=output, progress=Progress(stream), **options
    )


@pytest.fixture(scope="module")
def stopped(trained, tmp_path_factory):
    """A run stopped in its second trial, and the number of trials left."""
    output = tmp_path_factory.mktemp("compressed")
    real = StudentTuner.run_trial

    def stop(tuner, trial, *args, **kwargs):
        if len(tuner.oracle.trials) == 2:
            raise KeyboardInterrupt
        return real(tuner, trial, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StudentTuner, "run_trial", stop)
        with pytest.raises(KeyboardInterrupt):
            compress(trained, output)
    assert (output / "plan.json").exists()
    assert not (output / "results.json").exists()
    return output


@pytest.fixture(scope="module")
def made(trained, stopped):
    """The stopped run, resumed; and the trials that it trained."""
    begun = []
    real = StudentTuner.run_trial

    def note(tuner, trial, *args, **kwargs):
        begun.append((tuner.project_name, trial.trial_id))
        return real(tuner, trial, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StudentTuner, "run_trial", note)
        return compress(trained, stopped), begun


def test_the_file_is_verified_and_measured(made, stopped):
    result, _ = made
    assert result.path == stopped / "student_int8.tflite"
    assert result.verification.passed
    assert keras_kd.export.read_card(result.path)["quantization"] == "int8"
    assert list(result.evaluations) == ["teacher", "student", "TFLite int8"]
    file = result.evaluations["TFLite int8"]
    assert file.size_bytes == result.path.stat().st_size <= 100_000
    assert file.num_examples == 500, "test examples"
    again = keras_kd.evaluate(
        result.path, keras_kd.data.load("digits").test, latency=False
    )
    assert again.accuracy == file.accuracy


@pytest.mark.parametrize(
    ("accuracy", "start"),
    [(0.95, "Ship `{path}`: "), (0.8, "`{path}` is far behind its teacher: ")],
)
def test_a_file_far_behind_its_teacher_is_not_to_ship(made, accuracy, start):
    result, _ = made
    rows = [
        dataclasses.replace(row, evaluation={**row.evaluation, "accuracy": a})
        for row, a in zip(result.rows, [0.99, 0.99, accuracy], strict=True)
    ]
    said = dataclasses.replace(result, rows=rows).answer()
    assert said.startswith(start.format(path=result.path))


def test_a_stopped_run_goes_on(made):
    result, begun = made
    assert [project for project, _ in begun] == ["trials", "full"]
    assert [trial.status for trial in result.trials] == ["feasible"] * 2
    best = max(result.trials, key=lambda trial: trial.objective)
    assert result.values == dict(best.values)


def test_the_results_are_written(made, stopped):
    result, _ = made
    content = json.loads((stopped / "results.json").read_text())
    assert content["values"] == result.values
    assert content["rows"][0]["evaluation"]["num_examples"] == 500
    assert content["report_path"] == str(stopped / "report.html")
    page = result.report_path.read_text()
    assert "TFLite int8 (student_int8.tflite)" in page
    ships = "Ship TFLite int8 (student_int8.tflite)." in page
    assert ships == result.answer().startswith("Ship ")
    for title in ("Search", "Disagreements", "Rounding", "How it was made"):
        assert f">{title}</h2>" in page
    student = keras.models.load_model(stopped / "student.keras")
    x = np.zeros((1, 8, 8, 1), "float32")
    np.testing.assert_array_equal(student(x), result.student(x))


def test_the_page_is_made_again_from_the_folder(made, stopped):
    result, _ = made
    written = result.report_path.read_text()
    result.report_path.unlink()
    assert keras_kd.jobs.report(stopped) == result.report_path
    assert result.report_path.read_text() == written


def test_other_settings_are_refused(made, trained, stopped):
    with pytest.raises(ValueError, match="other options: seed: was 0, is 1"):
        compress(trained, stopped, seed=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {},
            "`arena_bytes` or `max_accuracy_loss`. Received: none.",
        ),
        ({"size_bytes": "5 apples"}, "Received: size_bytes='5 apples'"),
        ({"max_accuracy_loss": -1}, "Received: max_accuracy_loss=-1"),
        ({"size_bytes": 1, "minutes": 0}, "Received: minutes=0"),
        (
            {"target": "ethos-u55-128", "max_accuracy_loss": 1},
            "`target` to be given with a limit",
        ),
    ],
    ids=["nothing", "size", "loss", "minutes", "target"],
)
def test_bad_limits(options, message):
    with pytest.raises(ValueError, match=message):
        make_setting("t.keras", "digits", **options)


def test_a_budget_below_the_narrowest_student_is_refused_first(
    trained, tmp_path
):
    with pytest.raises(keras_kd.OverBudgetError) as caught:
        compress(trained, tmp_path, size_bytes="2kB")
    assert "narrowest student, of width 0.0625, is over" in str(caught.value)
    assert "above the budget's 2,000" in str(caught.value)
    assert "another family of students: mlp, convnet" in str(caught.value)
    assert not (tmp_path / "teacher_cache").exists(), "no teacher ran"


@pytest.mark.slow
def test_a_student_of_another_head_is_trained_with_int8_arithmetic(
    monkeypatch, trained, tmp_path
):
    """The teacher gives probabilities, a family's student logits."""
    monkeypatch.setattr(int8_file, "ROUNDING_LOSS", -100)
    aware = []
    real = module.Job._train_on

    def note(*given):
        aware.append(keras_kd.quantization.is_quantize_aware(given[-1]))
        return real(*given)

    monkeypatch.setattr(module.Job, "_train_on", note)
    teacher = keras.Sequential([trained, keras.layers.Softmax()])
    teacher.build((None, 8, 8, 1))
    result = compress(teacher, tmp_path, student="mlp", trials=1, epochs=1)
    assert result.verification.passed
    assert aware == [True]
    assert list(tmp_path.glob("*.tflite")) == [result.path]


@pytest.mark.slow
def test_time_that_is_over_still_gives_a_verified_file(
    monkeypatch, trained, tmp_path, capsys
):
    """An hour passes with every look at the clock."""
    hours = itertools.count()

    def clock(minutes):
        return Clock(minutes, now=lambda: 3600 * next(hours))

    monkeypatch.setattr(module, "Clock", clock)
    monkeypatch.setattr(module, "report_on_run", lambda *_: None)
    steps = []
    real = keras_kd.Distiller.train_step
    monkeypatch.setattr(
        keras_kd.Distiller,
        "train_step",
        lambda *given: steps.append(1) or real(*given),
    )
    result = compress(trained, tmp_path, minutes=1, trials=5, epochs=9)
    assert result.verification.passed
    assert result.path.exists()
    assert len(result.trials) == 1
    assert not (tmp_path / "full").exists()
    assert len(steps) == 1
    assert "trainings end early" in capsys.readouterr().err


def test_late_trainings_are_left_out(monkeypatch):
    class Search:
        class oracle:  # noqa: N801
            @staticmethod
            def get_trial(trial_id):
                return f"trial {trial_id}"

        @staticmethod
        def load_model(trial):
            return type("Distiller", (), {"student": f"student of {trial}"})

    job = module.Job.__new__(module.Job)
    job._clock = Clock(1e-9)
    best = type("Candidate", (), {"trial_id": "07", "values": {}})
    student = job._train_fully(None, None, Search, best)
    assert student == "student of trial 07"


def test_an_unknown_option_is_an_error():
    with pytest.raises(TypeError, match="epoch"):
        make_setting("t.keras", "digits", size_bytes=1000, epoch=3)


@pytest.mark.parametrize(
    ("least", "chosen"), [(1, "b"), (4, "a"), (0, "c")], ids=str
)
def test_without_a_budget_the_smallest_good_student_is_chosen(
    monkeypatch, tmp_path, least, chosen
):
    """Accuracies of 0.95, 0.97 and 0.98 by rising size; the teacher's: 0.98."""

    class Trial:
        def __init__(self, name, objective):
            self.trial_id, self.objective = name, objective

    trials = [Trial("a", 0.95), Trial("b", 0.97), Trial("c", 0.98)]

    class Tuner:
        def best_candidate(self):
            return trials[-1]

        def pareto_front(self, *by):
            assert by == ("size_bytes",)
            return trials

    monkeypatch.setattr(module, "accuracy_of", lambda *_: 0.98)
    job = module.Job.__new__(module.Job)
    job.setting = make_setting("t.keras", "digits", max_accuracy_loss=least)
    job.output, job.teacher, job.splits = tmp_path, None, None
    assert job._choose(Tuner()).trial_id == chosen
