"""The benchmarks of peers and of growth, at their smallest."""

import numpy as np
import pytest
from benchmark_scripts import imported


@pytest.fixture(scope="module")
def scripts():
    """`peers`, its pairs, and `growth`."""
    with imported("peers") as peers, imported("growth") as growth:
        yield peers, peers.PAIRS, growth


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mlp", "resnet", "text"])
def test_the_networks_of_a_pair_are_the_same_in_both(scripts, name):
    pytest.importorskip("torch")
    _, pairs, _ = scripts
    made = zip(pairs[name].keras(), pairs[name].torch(), strict=True)
    for ours, theirs in made:
        sizes = sorted(int(np.prod(w.shape)) for w in ours.trainable_weights)
        assert sum(sizes) == sum(w.numel() for w in theirs.parameters())


@pytest.mark.slow
def test_every_way_trains(scripts):
    pytest.importorskip("torch")
    peers, pairs, _ = scripts
    pair = pairs["mlp"]._replace(batch=8, steps=2)
    seconds = peers.epochs(pair, rounds=1)
    assert list(seconds) == [*peers.KERAS, *peers.TORCH] == list(peers.NAMES)
    assert all(ratio > 0 for ratio in peers.ratios(seconds).values())


def test_all_ways_of_keras_have_the_same_loss(scripts):
    peers, pairs, _ = scripts
    ways = peers.KerasWays(pairs["mlp"]._replace(batch=8, steps=1))
    student = ways._student()
    ways._student = lambda: student
    found = {}
    start = student.get_weights()
    for way in ("ours_live", "ours_cached", "keras_distillation", "keras_io"):
        student.set_weights(start)
        found[way] = getattr(ways, way)()().history["loss"][0]
    for way, loss in found.items():
        near = 1e-3 if way == "ours_cached" else 1e-5  # float16 in the cache
        assert loss == pytest.approx(found["ours_live"], rel=near), way


@pytest.mark.slow
def test_growth(scripts, tmp_path):
    _, _, growth = scripts
    found = growth.steps(classes=10, units=8, losses=6, rounds=1)
    assert found["live_ms"] > 0
    growth.built(tmp_path / "cache", 1000)
    cached = growth.looked_up(tmp_path / "cache", 1000, rounds=1)
    assert cached["disk_mb"] * 2**20 > 1000 * 10 * 2


def test_a_slope_is_that_of_a_line(scripts):
    _, _, growth = scripts
    line = {x: 3 + 0.5 * x for x in (1, 10, 1000)}
    assert growth.slope(line) == pytest.approx((0.5, 3))
