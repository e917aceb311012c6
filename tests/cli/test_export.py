"""`keras-kd export`: a student as a verified file."""

import importlib.util
import json

import pytest
from typer.testing import CliRunner

import keras_kd
from keras_kd.cli import app


def run(*arguments):
    return CliRunner().invoke(app, ["export", *map(str, arguments)])


needs_micro = pytest.mark.skipif(
    importlib.util.find_spec("tflite_micro") is None,
    reason="needs tflite_micro, of the extra `micro`",
)


@pytest.fixture
def student_path(tmp_path):
    path = tmp_path / "student.keras"
    keras_kd.students.mlp((8, 8, 1), 10, hidden=(20,)).save(path)
    return path


@pytest.mark.export
@needs_micro
def test_int8_is_calibrated_on_the_named_data(student_path, tmp_path):
    output = tmp_path / "student.tflite"
    options = ["--quantization", "int8", "--calibration", "digits", "--json"]
    options += ["--runtime", "litert-reference", "--runtime", "tflm"]
    result = run(student_path, output, *options)
    assert result.exit_code == 0, result.stderr
    check = json.loads(result.stdout)
    assert check["kind"] == check["input_dtype"] == "int8"
    assert check["size_bytes"] == output.stat().st_size
    assert list(check["runtimes"]) == ["litert-reference", "tflm"]
    assert check["arena_bytes"] > 64


@pytest.mark.export
def test_a_name_without_ending_is_a_saved_model(student_path, tmp_path):
    result = run(student_path, tmp_path / "saved")
    assert result.exit_code == 0, result.stderr
    assert (tmp_path / "saved" / "saved_model.pb").is_file()
    values = dict(
        line.split(maxsplit=1) for line in result.stdout.splitlines()[1:]
    )
    assert values["kind"] == "saved_model"
    assert values["num_examples"] == "256"
    assert values["passed"] == "True"


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("a", ["--quantization", "int8"], "for quantization 'int8'"),
        (
            "a.tflite",
            ["--quantization", "int8"],
            "`--data` to be a dataset",
        ),
        ("a.tflite", ["--quantization", "int-8"], "Did you mean 'int8'?"),
    ],
    ids=["folder", "calibration", "quantization"],
)
def test_a_wrong_option_is_one_line(
    student_path, tmp_path, name, options, message
):
    result = run(student_path, tmp_path / name, *options)
    assert result.exit_code == 1
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / name).exists()


def test_a_missing_student_is_named(tmp_path):
    result = run(tmp_path / "gone.keras", tmp_path / "a.tflite")
    assert result.exit_code == 1
    assert f"No student at `{tmp_path / 'gone.keras'}`" in result.stderr


@pytest.mark.export
def test_bytes_in_and_probabilities_out(student_path, tmp_path):
    output = tmp_path / "student.tflite"
    options = ["--quantization", "int8", "--calibration", "digits", "--json"]
    options += ["--input-dtype", "uint8", "--scale", "0..1"]
    options += ["--output", "probabilities", "--output-dtype", "uint8"]
    result = run(student_path, output, *options)
    assert result.exit_code == 0, result.stderr
    check = json.loads(result.stdout)
    assert check["input_dtype"] == check["output_dtype"] == "uint8"
    card = keras_kd.export.read_card(output)
    assert card["output_kinds"] == ["probabilities"]
    assert card["preprocessing"][0]["config"]["scale"] == 1 / 255
    options = ["--dataset", "digits", "--scale", "0..1", "--json"]
    verify = ["verify", str(output), str(student_path), *options]
    result = CliRunner().invoke(app, verify)
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["passed"]


def test_a_file_of_bytes_needs_the_range_of_the_student(student_path, tmp_path):
    options = ["--input-dtype", "uint8"]
    result = run(student_path, tmp_path / "a.tflite", *options)
    assert result.exit_code == 1
    assert "or `--data`, for a file of bytes" in result.stderr


@pytest.mark.export
def test_a_folder_for_a_microcontroller(student_path, tmp_path):
    pytest.importorskip("tflite_micro")
    folder = tmp_path / "firmware"
    labels = tmp_path / "labels.txt"
    labels.write_text("\n".join(f"digit {i}" for i in range(10)))
    options = ["--microcontroller", folder, "--calibration", "digits"]
    options += ["--input-dtype", "uint8", "--scale", "0..1", "--json"]
    options += ["--output", "probabilities", "--output-dtype", "uint8"]
    result = run(student_path, *options, "--labels", labels)
    assert result.exit_code == 0, result.stderr
    check = json.loads(result.stdout)
    assert check["path"] == str(folder / "model.tflite")
    header = (folder / "model_info.h").read_text()
    assert f"kArenaSize = {check['arena_bytes']};" in header
    assert header.count('"uint8"') == 2
    assert '"digit 9"' in header


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "`path` to be given, or `--microcontroller FOLDER`"),
        (["a.tflite", "--microcontroller", "b"], "and not both"),
        (
            ["--microcontroller", "b", "--quantization", "float16"],
            "`--quantization` to be left out for a microcontroller",
        ),
        (
            ["--microcontroller", "b", "--runtime", "litert"],
            "`--runtime` to be left out for a microcontroller",
        ),
        pytest.param(
            ["--microcontroller", "b"],
            "`--data` to be a dataset",
            marks=needs_micro,
        ),
    ],
    ids=["nothing", "both", "quantization", "runtime", "calibration"],
)
def test_what_does_not_go_with_a_microcontroller(
    student_path, tmp_path, monkeypatch, options, message
):
    monkeypatch.chdir(tmp_path)
    result = run(student_path, *options)
    assert result.exit_code == 1
    assert message in result.stderr
    assert list(tmp_path.iterdir()) == [student_path]
