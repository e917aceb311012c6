"""One replica and N give the same student (item 7 of keras.distillation)."""

import functools
import json
from pathlib import Path

import numpy as np
import pytest
from exhaustive import rest_when_asked
from processes import run_program

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).with_name("replica_run.py")
CASES = ("uneven", "single", "masked", "unlabelled", "outputs")
CASES += ("gathered", "factors", "normed")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("replicas")

    @functools.cache
    def run(count):
        path = folder / f"{count}.json"
        run_program(SCRIPT, count, path, *CASES)
        return json.loads(path.read_text())

    return run


@pytest.mark.parametrize("count", rest_when_asked([2, 4], [2]))
@pytest.mark.parametrize("case", CASES)
def test_07_replicas_give_the_same_student(runs, case, count):
    one, many = runs(1)[case], runs(count)[case]
    # A normalizer of the contrastive loss is about 1e5.
    relative = 1e-6 if case == "gathered" else 0
    np.testing.assert_allclose(
        one["weights"], many["weights"], rtol=relative, atol=1e-6
    )
    if case == "masked":
        # Keras' own `evaluate` averages the replicas' means by their number
        # of examples, not of unmasked positions.
        one["history"].pop("val_loss", None)
    if case == "outputs":
        # Keras' own logs of each output count every batch the same.
        for name in ("a_loss", "b_loss", "val_a_loss", "val_b_loss"):
            one["history"].pop(name, None)
    for name, values in one["history"].items():
        assert many["history"][name] == pytest.approx(values, rel=1e-5), name


def test_a_normalized_teacher_is_constant_on_replicas(runs):
    assert runs(1)["normed"]["constants"] == 0, "it ran eagerly"
    assert runs(2)["normed"]["constants"] == 8


def test_student_made_outside_the_scope_is_refused(runs):
    assert "made in the same `strategy.scope()`" in runs(2)["outside"]
