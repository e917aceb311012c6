"""Twenty SIGKILLs at random moments of one search."""

import json
import random
import time

import cheap_search
import pytest

KILLS = 20


@pytest.mark.slow
@pytest.mark.parametrize("name", ["random", "bayesian", "hyperband", "grid"])
def test_twenty_kills(name, tmp_path):
    trials = 11
    oracle = cheap_search.oracle(name, trials)
    cheap_search.CheapTuner(oracle, tmp_path / "whole").search(verbose=0)
    log, storm = tmp_path / "storm.log", tmp_path / "storm"
    storm.mkdir()
    moments = random.Random(0)
    for number in range(KILLS + 1):
        process = cheap_search.start(log, {}, storm, name, trials, 0.1)
        if number < KILLS:
            time.sleep(moments.uniform(0.0, 0.4))
            process.kill()
        process.join(120)
    assert process.exitcode == 0, log.read_text()
    found = json.loads((storm / "outcome.json").read_text())
    assert found == json.loads(json.dumps(cheap_search.outcome(oracle)))
