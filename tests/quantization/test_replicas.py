"""One replica and two follow the same ranges and learn the same weights."""

import json
from pathlib import Path

import numpy as np
import pytest
from processes import run_program

SCRIPT = Path(__file__).with_name("replica_run.py")


@pytest.mark.slow
@pytest.mark.parametrize("activations", ["moving_range", "learned_step"])
def test_replicas_give_the_same_student(tmp_path, activations):
    weights = {}
    for count in (1, 2):
        path = tmp_path / f"{count}.json"
        run_program(SCRIPT, count, path, activations)
        weights[count] = json.loads(path.read_text())
    assert len(weights[1]) >= 10
    for name, value in weights[1].items():
        # Measured: 3e-8.
        np.testing.assert_allclose(
            weights[2][name], value, atol=1e-5, err_msg=name
        )
    steps = [v for k, v in weights[2].items() if k.endswith("steps")]
    assert set(steps) == {16}
