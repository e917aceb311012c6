"""Fixtures of the tests of searches."""

import cheap_search
import pytest


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A search of five trials that ended, of six."""
    folder = tmp_path_factory.mktemp("search")
    cheap_search.tuner(folder=folder, max_trials=5).search(verbose=0)
    return folder
