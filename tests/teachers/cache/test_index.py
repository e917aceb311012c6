"""The index against a dictionary, with keys that share a half."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from keras_kd.teachers.cache.index import Index

SMALL = st.integers(0, 4)


@settings(max_examples=60, deadline=None)
@given(
    st.sets(st.tuples(SMALL, SMALL), min_size=1, max_size=20),
    st.lists(st.tuples(SMALL, SMALL), min_size=1, max_size=20),
    st.integers(1, 7),
)
def test_the_index_is_a_dictionary(stored, asked, step):
    stored = list(stored)
    index = Index()
    for start in range(0, len(stored), step):
        index.add(np.array(stored[start : start + step], "<u8"))
    wanted = [stored.index(key) if key in stored else -1 for key in asked]
    assert index.find(np.array(asked, "<u8")).tolist() == wanted
    assert len(index) == len(stored)


def test_an_empty_index_finds_nothing():
    assert Index().find(np.ones((3, 2), "<u8")).tolist() == [-1, -1, -1]


@pytest.mark.parametrize("value", [0, 2**64 - 1])
def test_the_ends_of_the_range(value):
    index = Index()
    index.add(np.array([[value, value]], "<u8"))
    both = np.array([[value, value], [value, 7]], "<u8")
    assert index.find(both).tolist() == [0, -1]


@pytest.mark.parametrize("size", [1, 2, 5, 1000, 5000])
def test_keys_spread_over_the_whole_range(size):
    rng = np.random.default_rng(size)
    stored = rng.integers(0, 2**64, (size, 2), "u8")
    index = Index()
    for part in np.array_split(stored, 3):
        index.add(part)
    order = rng.permutation(size)
    assert index.find(stored[order]).tolist() == order.tolist()
    other = stored ^ np.array([0, 1], "<u8")
    assert (index.find(other) == -1).all()
    assert (index.find(stored ^ np.array([1, 0], "<u8")) == -1).all()
