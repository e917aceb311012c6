"""A missing package is an error that says how to install it."""

import json

import pytest

from keras_kd.core.imports import optional


def test_an_installed_package_is_returned():
    assert optional("json", "dev", "This test") is json


def test_a_missing_package_names_its_extra():
    with pytest.raises(
        ImportError,
        match=r"`data\.load` needs the package `no_such_package`\. "
        r"Install it with `pip install 'keras-kd\[datasets\]'`\.",
    ):
        optional("no_such_package", "datasets", "`data.load`")
