"""State files: whole or absent, two generations, one writer."""

import subprocess
import sys

import pytest

from keras_kd.search.oracles import state


def test_generations(tmp_path):
    path = tmp_path / "oracle.json"
    with pytest.raises(FileNotFoundError, match="No search at"):
        state.read_generations(path)
    for number in range(3):
        state.write_generations(path, {"number": number})
    assert state.read_generations(path) == {"number": 2}
    assert state.read_json(state.previous(path)) == {"number": 1}
    path.unlink()  # killed between the two renames
    assert state.exists(tmp_path)
    assert state.read_generations(path) == {"number": 1}


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "",
        lambda text: text.replace("0.5", "0.6"),
        lambda text: "\0" * len(text),
    ],
    ids=["cut", "empty", "changed", "zeros"],
)
def test_a_damaged_generation_is_noticed_and_set_aside(damage, tmp_path):
    path = tmp_path / "oracle.json"
    state.write_generations(path, {"score": 0.25})
    state.write_generations(path, {"score": 0.5})
    path.write_text(damage(path.read_text()))
    with pytest.warns(UserWarning, match="damaged.*state before it"):
        assert state.read_generations(path) == {"score": 0.25}
    # The next write keeps the good one as the one before.
    state.write_generations(path, {"score": 0.75})
    assert state.read_json(state.previous(path)) == {"score": 0.25}


def test_nothing_readable(tmp_path):
    path = tmp_path / "oracle.json"
    path.write_text("{")
    state.previous(path).write_text("{")
    with pytest.raises(RuntimeError, match="oracle.previous.json` damaged"):
        state.read_generations(path)
    assert path.exists()


HOLD = """
import sys, time
from keras_kd.search.oracles import state
with state.locked(sys.argv[1], sys.argv[2]):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.mark.slow
def test_a_second_search_in_a_folder_is_refused(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path / "new", "search"],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline() == "held\n"
        with (
            pytest.raises(RuntimeError, match="Another process runs the sear"),
            state.locked(tmp_path / "new"),
        ):
            pass
        with state.locked(tmp_path / "new", "worker-1"):
            pass
        process.kill()
        process.wait()
    with state.locked(tmp_path / "new"):
        pass


def test_a_folder_that_cannot_be_written_to(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(OSError, match="Cannot write to the folder"),
        state.locked(tmp_path / "file" / "project"),
    ):
        pass
