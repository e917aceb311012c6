"""`keras-kd cache`: build, info, verify."""

import json

import pytest
from typer.testing import CliRunner

import keras_kd
from keras_kd.cli import app


def run(*arguments):
    return CliRunner().invoke(app, ["cache", *map(str, arguments)])


@pytest.fixture
def teacher_path(tmp_path):
    path = tmp_path / "teacher.keras"
    keras_kd.students.mlp((8, 8, 1), 10, hidden=(20,)).save(path)
    return path


def test_build_then_info_then_verify(teacher_path, tmp_path):
    folder = tmp_path / "cache"
    options = ["--dataset", "digits", "--output", folder, "--top-k", "3"]
    built = run("build", teacher_path, *options, "--json")
    assert built.exit_code == 0, built.stderr
    content = json.loads(built.stdout)
    assert content["top_k"] == 3
    assert content["complete"] is True
    info = run("info", folder, "--json")
    assert json.loads(info.stdout) == content
    verified = run("verify", folder)
    assert verified.exit_code == 0, verified.stderr
    rows = dict(
        line.split(maxsplit=1) for line in verified.stdout.splitlines()[1:]
    )
    assert rows["verified"] == "True"
    assert rows["examples"] == f"{content['examples']:,}"


def test_damage_is_one_line_and_exit_code_one(teacher_path, tmp_path):
    folder = tmp_path / "cache"
    run("build", teacher_path, "--dataset", "digits", "--output", folder)
    (shard,) = folder.glob("*.shard")
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    shard.write_bytes(content)
    result = run("verify", folder)
    assert result.exit_code == 1
    assert shard.name in result.stderr
    assert result.stderr.count("\n") == 1


def test_no_cache_is_one_line(tmp_path):
    result = run("info", tmp_path)
    assert result.exit_code == 1
    assert "No teacher cache at" in result.stderr
