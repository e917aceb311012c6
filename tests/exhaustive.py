"""Rows of matrices that take an hour: left out unless they are asked for."""

import os

import pytest

VARIABLE = "KERAS_KD_EXHAUSTIVE"
IS_ASKED = os.environ.get(VARIABLE, "0") != "0"

when_asked = pytest.mark.skipif(not IS_ASKED, reason=f"set {VARIABLE}=1")


def rest_when_asked(rows, quick):
    """Return all rows as parameters; those not in `quick` wait to be asked."""
    return [
        pytest.param(
            *(row if isinstance(row, tuple) else (row,)),
            marks=() if row in quick else when_asked,
        )
        for row in rows
    ]
