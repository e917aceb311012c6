import dataclasses
import json

import pytest

from keras_kd.evaluation import Evaluation


def test_json_holds_every_attribute():
    result = Evaluation("m", 3, accuracy=0.5, per_class_recall=[1.0, None])
    read = json.loads(result.to_json(indent=2))
    assert list(read) == [f.name for f in dataclasses.fields(Evaluation)]
    assert read["per_class_recall"] == [1.0, None]
    assert read["flops"] is None
    assert json.loads(Evaluation("m", 1, nll=float("inf")).to_json())[
        "nll"
    ] is (None)


def test_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Evaluation("m", 3).accuracy = 1.0
