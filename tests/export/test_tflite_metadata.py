"""TFLite Metadata: class names where Android reads them."""

import struct
import zipfile

import keras
import numpy as np
import pytest
from ai_edge_litert.schema_py_generated import Model

from keras_kd import export
from keras_kd import students
from keras_kd.evaluation.litert import LiteRTModel

pytestmark = pytest.mark.export
layers = keras.layers
NAMES = ["cat", "dog", "Käuzchen"]


class Table:
    """A table of any flatbuffer, read by the format's published layout."""

    def __init__(self, data, at):
        self.data, self.at = data, at
        self.fields = at - self._number("i", at)

    @classmethod
    def root(cls, data):
        return cls(data, struct.unpack_from("<I", data, 0)[0])

    def _number(self, kind, at):
        return struct.unpack_from(f"<{kind}", self.data, at)[0]

    def _field(self, slot):
        entry = 4 + 2 * slot
        if entry >= self._number("H", self.fields):
            return None
        offset = self._number("H", self.fields + entry)
        return self.at + offset if offset else None

    def _target(self, slot):
        at = self._field(slot)
        return at + self._number("I", at)

    def has(self, slot):
        return self._field(slot) is not None

    def byte(self, slot):
        return self._number("B", self._field(slot))

    def text(self, slot):
        at = self._target(slot)
        return self.data[at + 4 :][: self._number("I", at)].decode()

    def table(self, slot):
        return Table(self.data, self._target(slot))

    def tables(self, slot):
        at = self._target(slot)
        places = [at + 4 + 4 * i for i in range(self._number("I", at))]
        return [
            Table(self.data, place + self._number("I", place))
            for place in places
        ]

    def floats(self, slot):
        at = self._target(slot)
        count = self._number("I", at)
        return list(struct.unpack_from(f"<{count}f", self.data, at + 4))


def metadata(path):
    """Return the root of a file's TFLite Metadata, None without any."""
    model = Model.GetRootAs(path.read_bytes())
    for i in range(model.MetadataLength()):
        entry = model.Metadata(i)
        if entry.Name() == b"TFLITE_METADATA":
            data = bytes(model.Buffers(entry.Buffer()).DataAsNumpy())
            assert data[4:8] == b"M001"
            return Table.root(data)
    return None


@pytest.fixture(scope="module")
def student():
    keras.utils.set_random_seed(0)
    return students.convnet((8, 8, 3), 3, width=0.25)


@pytest.fixture(scope="module")
def path(student, tmp_path_factory):
    """A file of bytes with labels, verified on bytes."""
    path = tmp_path_factory.mktemp("metadata") / "student.tflite"
    x = np.random.default_rng(0).integers(0, 256, (20, 8, 8, 3), "uint8")
    export.tflite(
        student,
        path,
        verify=x,
        preprocess=layers.Rescaling(1 / 255),
        input_dtype="uint8",
        output="probabilities",
        labels=NAMES,
    )
    return path


def test_the_labels_are_in_a_zip_behind_the_model(path):
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ["labels.txt"]
        assert archive.testzip() is None
        [info] = archive.infolist()
        assert info.compress_type == zipfile.ZIP_STORED
        assert archive.read("labels.txt").decode() == "cat\ndog\nKäuzchen\n"


def test_the_metadata_name_the_labels_and_the_normalization(path):
    root = metadata(path)
    assert (root.text(0), root.text(7)) == ("convnet", "1.0.0")
    [graph] = root.tables(3)
    [given], [found] = graph.tables(2), graph.tables(3)
    assert found.text(0) == "probabilities"
    assert found.table(3).byte(0) == 1  # FeatureProperties
    [labels] = found.tables(6)
    assert (labels.text(0), labels.byte(2)) == ("labels.txt", 2)
    assert given.table(3).byte(0) == 2  # ImageProperties
    assert given.table(3).table(1).byte(0) == 1  # RGB
    [unit] = given.tables(4)
    assert unit.byte(0) == 1  # NormalizationOptions
    assert unit.table(1).floats(0) == [0.0]
    assert unit.table(1).floats(1) == [1.0]


def test_the_file_still_runs_and_has_its_card(path, student):
    x = np.full((2, 8, 8, 3), 51, "uint8")
    logits = student.predict(np.full((2, 8, 8, 3), 0.2), verbose=0)
    expected = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    found = LiteRTModel(path).predict(x)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    card = export.read_card(path)
    assert card["labels"] == NAMES
    assert card["output_kinds"] == ["probabilities"]


def test_the_normalization_of_floats_is_not_known(student, tmp_path):
    path = tmp_path / "x.tflite"
    export.tflite(student, path, labels=NAMES, verify=False)
    [graph] = metadata(path).tables(3)
    assert not graph.tables(2)[0].has(4)
    assert graph.tables(3)[0].text(0) == "logits"


def test_no_labels_no_metadata(student, tmp_path):
    path = tmp_path / "x.tflite"
    export.tflite(student, path, verify=False)
    assert metadata(path) is None
    assert not zipfile.is_zipfile(path)


def test_a_label_is_one_line(student, tmp_path):
    with pytest.raises(ValueError, match="names without line breaks"):
        export.tflite(student, tmp_path / "x.tflite", labels=["a\nb", "c", "d"])
