"""Texts with units, read as numbers."""

import pytest

from keras_kd.search.cost import units

TABLES = {
    "bytes": units.BYTES,
    "milliseconds": units.MILLISECONDS,
    "count": units.COUNT,
}


@pytest.mark.parametrize(
    ("kind", "text", "number"),
    [
        ("bytes", "50kB", 50_000),
        ("bytes", "1.5 MB", 1_500_000),
        ("bytes", "64KiB", 65_536),
        ("bytes", " 300 ", 300),
        ("bytes", "1_000B", 1_000),
        ("milliseconds", "2ms", 2.0),
        ("milliseconds", "250us", 0.25),
        ("milliseconds", ".5s", 500.0),
        ("count", "1e6", 1e6),
        ("count", "2.5M", 2.5e6),
    ],
)
def test_a_text_is_read(kind, text, number):
    got = units.quantity("Budget", "x", text, TABLES[kind])
    assert got == pytest.approx(number, rel=1e-12)


@pytest.mark.parametrize(
    ("kind", "text", "match"),
    [
        ("bytes", "50,5kB", "a number, with or without one of B, kB"),
        ("bytes", "50 kb", "x='50 kb'.*Did you mean 'kB'"),
        ("bytes", "2ms", "a number, with or without one of B"),
        ("bytes", "", "a number, with"),
        ("bytes", "-3kB", "a number, with"),
        ("bytes", "0kB", "greater than 0"),
        ("milliseconds", "fast", "one of us, µs, ms, s"),
        ("count", "1e999", "finite number greater than 0"),
    ],
)
def test_a_text_that_is_no_quantity(kind, text, match):
    with pytest.raises(ValueError, match=match):
        units.quantity("Budget", "x", text, TABLES[kind])
