"""The card of a file: true, in the file and beside it, and tamper-evident."""

import hashlib
import importlib.metadata
import json

import keras
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from keras_kd import export
from keras_kd.evaluation.litert import LiteRTModel
from keras_kd.evaluation.tflite_file import embed
from keras_kd.evaluation.tflite_file import split

pytestmark = pytest.mark.export


@pytest.fixture(scope="module")
def made(tmp_path_factory, student, data):
    """An int8 file with labels."""
    path = tmp_path_factory.mktemp("card") / "student.tflite"
    labels = ["left", "middle", "r\u00e9chts"]
    export.tflite(student, path, "int8", data[0], labels=labels)
    return path


def test_it_says_what_the_file_is(made, student):
    card = export.read_card(made)
    assert card["format"] == 1
    assert card["quantization"] == "int8"
    assert card["labels"] == ["left", "middle", "r\u00e9chts"]
    assert card["preprocessing"] == []
    assert card["student"]["name"] == "student"
    sizes = [weight.size for weight in student.get_weights()]
    assert card["student"]["num_params"] == sum(sizes)
    versions = card["versions"]
    assert versions["keras"] == keras.__version__
    assert versions["tensorflow"] == importlib.metadata.version("tensorflow")


def test_scales_and_zero_points_are_those_of_the_runtime(made):
    card, model = export.read_card(made), LiteRTModel(made)
    for key in ("inputs", "outputs"):
        [told], [detail] = card[key], getattr(model, key[:-1] + "_details")
        assert told["name"] == detail.name
        assert told["dtype"] == detail.dtype == "int8"
        assert tuple(told["shape"]) == detail.shape
        np.testing.assert_allclose(told["scale"], detail.scale, rtol=1e-7)
        assert told["zero_point"] == detail.zero_point


def test_the_card_beside_the_file_is_the_same(made):
    beside = made.with_name("student.tflite.json")
    assert json.loads(beside.read_text("utf-8")) == export.read_card(made)
    assert sorted(path.name for path in made.parent.iterdir()) == [
        "student.tflite",
        "student.tflite.json",
    ]


def test_it_is_a_named_buffer_of_the_flatbuffer(made):
    model = schema.Model.GetRootAs(made.read_bytes())
    names = [model.Metadata(i).Name() for i in range(model.MetadataLength())]
    assert names.count(b"keras_kd") == 1
    entry = model.Metadata(names.index(b"keras_kd"))
    text = bytes(model.Buffers(entry.Buffer()).DataAsNumpy())
    assert json.loads(text) == export.read_card(made)


def test_the_weights_hash_restated(made, student):
    digest = hashlib.sha256()
    for value in student.get_weights():
        digest.update(f"{value.dtype.name}{value.shape}".encode())
        digest.update(value.tobytes())
    card = export.read_card(made)
    assert card["student"]["weights_sha256"] == digest.hexdigest()


def test_what_is_around_the_card_is_what_the_converter_made(
    student, tmp_path, monkeypatch
):
    from keras_kd.export.conversion import parent

    before = {}
    add_card = parent.add_card

    def remember(path, *arguments):
        before["content"] = path.read_bytes()
        add_card(path, *arguments)

    monkeypatch.setattr(parent, "add_card", remember)
    path = tmp_path / "student.tflite"
    export.tflite(student, path)
    content, text = split(path.read_bytes(), "keras_kd")
    assert content == before["content"]
    found = hashlib.sha256(content).hexdigest()
    assert json.loads(text)["content_sha256"] == found


def test_a_changed_file_is_noticed(made, student, tmp_path):
    content = bytearray(made.read_bytes())
    graph = schema.Model.GetRootAs(content)
    sizes = [graph.Buffers(i).DataLength() for i in range(8)]
    weights = graph.Buffers(int(np.argmax(sizes))).DataAsNumpy()
    at = bytes(content).index(weights.tobytes())
    content[at] ^= 1
    changed = tmp_path / "changed.tflite"
    changed.write_bytes(content)
    with pytest.raises(ValueError, match="content was changed after the exp"):
        export.read_card(changed)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (None, "an existing file"),
        (b"nothing at all", "does not begin as such files do"),
        (b"\x1c\x00\x00\x00TFL3\xff\xff", "It is damaged"),
    ],
    ids=["missing", "other", "cut"],
)
def test_no_card(tmp_path, content, match):
    path = tmp_path / "x.tflite"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=match):
        export.read_card(path)


def test_a_file_from_elsewhere_has_none(made, tmp_path):
    path = tmp_path / "bare.tflite"
    path.write_bytes(split(made.read_bytes(), "keras_kd")[0])
    with pytest.raises(ValueError, match="`keras_kd.export.tflite` did not"):
        export.read_card(path)


def test_a_text_is_replaced_and_others_stay(made):
    content = made.read_bytes()
    bare, text = split(content, "keras_kd")
    twice = embed(embed(bare, "other", "mine"), "keras_kd", "a")
    assert embed(twice, "keras_kd", text) == embed(
        embed(bare, "other", "mine"), "keras_kd", text
    )
    left, found = split(twice, "keras_kd")
    assert (split(left, "other"), found) == ((bare, "mine"), "a")
    assert split(bare, "keras_kd") == (bare, None)


def test_a_file_that_fails_leaves_neither(student, data, tmp_path):
    path = tmp_path / "student.tflite"
    path.write_bytes(b"the older file")
    with pytest.raises(export.ExportMismatchError):
        export.tflite(student, path, verify=data, tolerance=1e-30)
    assert [p.name for p in tmp_path.iterdir()] == ["student.tflite"]
    assert path.read_bytes() == b"the older file"


@pytest.mark.parametrize("labels", [["a", "b"], ["a"] * 4], ids=["few", "many"])
def test_labels_are_one_a_class(student, tmp_path, labels):
    with pytest.raises(ValueError, match=r"`labels` to be 3 names, one a clas"):
        export.tflite(student, tmp_path / "x.tflite", labels=labels)
