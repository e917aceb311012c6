"""A trial on two replicas is the trial on one."""

import json
from pathlib import Path

import numpy as np
import pytest
from processes import run_program

SCRIPT = Path(__file__).with_name("mirrored_run.py")


@pytest.mark.slow
def test_two_replicas_find_what_one_finds(tmp_path):
    """In processes of their own: collectives of two sizes cannot mix."""
    found = []
    for count in (1, 2):
        folder = tmp_path / str(count)
        folder.mkdir()
        run_program(SCRIPT, folder, count)
        status, objective = json.loads((folder / "result.json").read_text())
        assert status == "feasible"
        with np.load(folder / "best.npz") as arrays:
            found.append([objective, *(arrays[name] for name in arrays)])
    for one, two in zip(*found, strict=True):
        np.testing.assert_allclose(one, two, atol=1e-5)
