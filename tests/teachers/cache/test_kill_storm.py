"""SIGKILL at 50 random moments; see `kill_storm.py`."""

import json
import os
from pathlib import Path

import pytest
from processes import run_program


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_killed_builds_go_on_to_the_same_bytes(tmp_path):
    program = Path(__file__).with_name("kill_storm.py")
    done = run_program(program, tmp_path, 50)
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["kills"] == 50
    assert len(set(result["examples_left"])) >= 8, "killed at other moments"
