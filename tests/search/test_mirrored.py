"""A trial on two replicas is the trial on one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


@pytest.mark.slow
def test_two_replicas_find_what_one_finds(tmp_path):
    """In processes of their own: collectives of two sizes cannot mix."""
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    found = []
    for count in (1, 2):
        folder = tmp_path / str(count)
        folder.mkdir()
        subprocess.run(
            [sys.executable, HERE / "mirrored_run.py", folder, str(count)],
            env=os.environ | {"PYTHONPATH": paths},
            check=True,
            capture_output=True,
        )
        status, objective = json.loads((folder / "result.json").read_text())
        assert status == "feasible"
        with np.load(folder / "best.npz") as arrays:
            found.append([objective, *(arrays[name] for name in arrays)])
    for one, two in zip(*found, strict=True):
        np.testing.assert_allclose(one, two, atol=1e-5)
