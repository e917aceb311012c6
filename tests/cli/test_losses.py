"""`keras-kd losses` lists what `keras_kd.losses.METHODS` holds."""

import json

import pytest
from typer.testing import CliRunner

from keras_kd.cli import app
from keras_kd.cli.losses import Method
from keras_kd.cli.losses import markdown
from keras_kd.losses import METHODS


@pytest.fixture
def run():
    return lambda *arguments: CliRunner().invoke(app, ["losses", *arguments])


def test_json_has_one_entry_for_each_method(run):
    result = run("--json")
    assert result.exit_code == 0
    entries = json.loads(result.stdout)
    assert [entry["name"] for entry in entries] == list(METHODS)
    soft = entries[0]
    assert soft["loss"] == "SoftTargets"
    assert soft["kind"] == "logit"
    assert "arXiv:1503.02531" in soft["reference"]
    assert "T^2 * sum_c" in soft["formula"]
    for entry in entries:
        assert entry["summary"].endswith(".")
        assert entry["use"]
        assert entry["formula"]
        assert entry["reference"]


def test_table_has_one_line_for_each_method(run):
    result = run()
    assert result.exit_code == 0
    names = [line.split()[0] for line in result.stdout.splitlines()[1:]]
    assert names == list(METHODS)


def test_one_method_is_explained(run):
    result = run("dist")
    assert result.exit_code == 0
    assert "Choose it where the teacher is much stronger" in result.stdout
    assert "Pearson's correlation" in result.stdout
    assert "arXiv:2205.10536" in result.stdout


def test_an_unknown_method_is_refused(run):
    result = run("dits")
    assert result.exit_code != 0
    assert "Did you mean 'dist'?" in result.stderr


def test_markdown_of_a_known_method():
    row = Method(
        name="kd",
        loss="KD",
        kind="logit",
        summary="Says a | b.",
        use="Choose it for one.",
        formula="a + b",
        reference="Somebody et al. 2020, equation 1. Not 2.",
    )
    assert markdown([row]).splitlines() == [
        "| loss | kind | what it does | reference |",
        "|---|---|---|---|",
        r"| `KD` | logit | Says a \| b. | Somebody et al. 2020, equation 1 |",
        "",
        "### KD",
        "",
        "Choose it for one.",
        "",
        "a + b",
    ]
