"""SIGKILLs at random moments of one search."""

import json
import random
import time

import cheap_search
import pytest
from exhaustive import rest_when_asked
from processes import end
from processes import start


def storm(folder, kills, longest, *search):
    """Run a search that is killed again and again, then let it end.

    Returns:
        What it came to, and how many kills met it before its end.
    """
    folder.mkdir()
    log, result = folder / "log", folder / "outcome.json"
    moments = random.Random(0)
    interrupted = 0
    for number in range(kills + 1):
        process = start(log, *search)
        if number < kills:
            time.sleep(moments.uniform(0.0, longest))
            process.kill()
            interrupted += not result.exists()
        code = end(process)
    assert code == 0, log.read_text()[-5000:]
    return json.loads(result.read_text()), interrupted


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    rest_when_asked(
        ["random", "bayesian", "hyperband", "grid"], ["bayesian", "hyperband"]
    ),
)
def test_twenty_kills(name, tmp_path):
    trials = 11
    oracle = cheap_search.oracle(name, trials)
    cheap_search.CheapTuner(oracle, tmp_path / "whole").search(verbose=0)
    folder = tmp_path / "storm"
    # Of 0.15 s a trial: a run ends two at most, most often none.
    search = (cheap_search.main, folder, name, trials, 0.15)
    found, interrupted = storm(folder, 20, 0.3, *search)
    assert found == json.loads(json.dumps(cheap_search.outcome(oracle)))
    assert interrupted >= 10


@pytest.mark.slow
def test_kills_of_a_search_that_trains(tmp_path):
    whole, storming = tmp_path / "whole", tmp_path / "storm"
    end(start(tmp_path / "log", int))  # the imports
    started = time.monotonic()
    expected, _ = storm(whole, 0, 0, cheap_search.train_students, whole)
    half = (time.monotonic() - started) / 2
    statuses = [trial["message"] is None for trial in expected]
    assert {True, False} == set(statuses)
    found, interrupted = storm(
        storming, 4, half, cheap_search.train_students, storming
    )
    assert found == expected
    assert interrupted >= 2
