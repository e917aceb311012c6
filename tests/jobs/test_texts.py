"""Texts are looked up in the teacher's vocabulary before the models run."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_kd
from keras_kd.jobs import data
from keras_kd.jobs.students import student_builder
from keras_kd.jobs.texts import behind_vocabulary

TEXTS = [f"{word} film {i}" for i in range(15) for word in ("good", "bad")]


@pytest.fixture
def teacher():
    words = keras.layers.TextVectorization(
        vocabulary=["good", "bad", "film"], output_sequence_length=4
    )
    inputs = keras.Input((), dtype="string")
    x = keras.layers.Embedding(6, 3)(words(inputs))
    outputs = keras.layers.Dense(2)(keras.layers.Flatten()(x))
    return keras.Model(inputs, outputs, name="critic")


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "texts.csv"
    rows = [f"{text},{text.split()[0]}" for text in TEXTS]
    path.write_text("\n".join(["text,label", *rows]))
    return str(path)


@pytest.fixture
def numbered(teacher, table, tmp_path):
    splits = keras_kd.data.load(table)
    found = behind_vocabulary(teacher, splits)
    return splits, found, found.save(tmp_path)


def test_the_parts_are_the_teacher(teacher, numbered, tmp_path):
    splits, (rest, numbers, _), path = numbered
    assert numbers.input_shape == (4,)
    texts, _ = next(iter(splits.test))
    tokens, _ = next(iter(numbers.test))
    np.testing.assert_allclose(rest(tokens), teacher(texts), atol=1e-6)
    saved = keras.models.load_model(path)
    np.testing.assert_allclose(saved(tokens), teacher(texts), atol=1e-6)
    vocabulary = (tmp_path / "vocabulary.txt").read_text().splitlines()
    assert vocabulary == ["", "[UNK]", "good", "bad", "film"]
    assert [vocabulary[n] for n in tokens[0]][1:2] == ["film"]


def test_a_file_of_numbers_is_given_texts(numbered, table, tmp_path):
    _, (rest, numbers, _), _ = numbered
    rest.save(tmp_path / "student.keras")
    splits = data.load_data(table, rest, file=tmp_path / "student.keras")
    np.testing.assert_array_equal(
        next(iter(splits.test))[0], next(iter(numbers.test))[0]
    )


def test_without_the_words_it_is_refused(numbered, table):
    _, (rest, _, _), _ = numbered
    with pytest.raises(ValueError, match="nothing tells its vocabulary"):
        data.load_data(table, rest)


@pytest.mark.parametrize("family", ["text_cnn", "text_transformer"])
def test_families_know_the_words(numbered, family):
    _, (rest, numbers, _), _ = numbered
    student = student_builder(family, rest, numbers)(0.1)
    sizes = {
        layer.input_dim
        for layer in student.layers
        if isinstance(layer, keras.layers.Embedding)
    }
    assert 6 in sizes
    tokens, _ = next(iter(numbers.test))
    assert student(tokens).shape == (len(tokens), 2)


def test_other_teachers_are_returned_as_they_are(numbered, tmp_path):
    splits, (rest, _, _), _ = numbered
    again = behind_vocabulary(rest, splits)
    assert again.teacher is rest
    assert again.save(tmp_path / "unused") is None
    assert tf.string == again.splits.train.element_spec[0].dtype
