"""Models of several inputs and outputs: what each takes, what is measured."""

import keras
import numpy as np
import pytest

import keras_kd
from keras_kd import evaluate

RNG = np.random.default_rng(0)
X = RNG.uniform(size=(70, 6, 6, 1)).astype("float32")


@pytest.fixture
def two_inputs():
    """A teacher of an image and notes, its data, and a student of images."""
    image, notes = keras.Input((6, 6, 1), name="image"), keras.Input((3,))
    x = keras.layers.Concatenate()([keras.layers.Flatten()(image), notes])
    teacher = keras.Model([image, notes], keras.layers.Dense(4)(x))
    student = keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            keras.layers.Flatten(),
            keras.layers.Dense(4),
        ]
    )
    notes = RNG.uniform(size=(len(X), 3)).astype("float32")
    return teacher, student, {"scan": X, "notes": notes}


def test_each_model_takes_its_part_of_the_data(two_inputs, tmp_path):
    teacher, student, data = two_inputs
    choices = {
        "student_input": "scan",
        "teacher_input": lambda x: [x["scan"], x["notes"]],
    }
    ask = {"latency": False, "teacher": teacher}
    predicted = [
        model.predict(x, verbose=0).argmax(-1)
        for model, x in ((student, X), (teacher, [X, data["notes"]]))
    ]
    agreement = (predicted[0] == predicted[1]).mean()
    distiller = keras_kd.Distiller(teacher, student, **choices)
    student.save(tmp_path / "student.keras")
    for model, told in (
        (student, choices),
        (tmp_path / "student.keras", choices),
        (distiller, {}),
        # The student remembers the key that it was distilled with.
        (student, {"teacher_input": choices["teacher_input"]}),
    ):
        found = evaluate(model, data, **ask, **told)
        assert found.agreement == pytest.approx(agreement)
    alone = evaluate(student, X, latency=False)
    assert alone.num_examples == len(X)


def test_data_of_other_inputs_names_the_argument(two_inputs):
    teacher, student, data = two_inputs
    pairs = [data["scan"], data["notes"]]
    with pytest.raises(
        ValueError, match=r"\['scan', 'notes'\].*`student_input=`"
    ):
        evaluate(student, data, latency=False)
    with pytest.raises(ValueError, match=r"2 tensors.*`student_input=`"):
        evaluate(student, pairs, latency=False)
    with pytest.raises(ValueError, match="of the teacher .*`teacher_input=`"):
        evaluate(student, data, teacher, student_input="scan", latency=False)
    with pytest.raises(ValueError, match="same inputs.*`student_input=`"):
        keras_kd.Distiller(teacher, student)
    with pytest.raises(ValueError, match=r"one of \['scan', 'notes'\]"):
        evaluate(student, data, student_input="scam", latency=False)
    with pytest.raises(TypeError, match="`teacher_input` to be a function"):
        evaluate(student, X, teacher_input=3, latency=False)


def _two_of_each(form):
    """Return a model of two inputs and outputs, its data and its labels."""
    keras.utils.set_random_seed(3)
    last = keras.Input((4,), name="z last")
    first = keras.Input((4,), name="a first")
    x = keras.layers.Subtract()([last, first])
    heads = [keras.layers.Dense(3)(x), keras.layers.Dense(5, "softmax")(x)]
    data = [RNG.normal(size=(60, 4)).astype("float32") for _ in range(2)]
    labels = [RNG.integers(0, size, 60) for size in (3, 5)]
    if form == "list":
        return keras.Model([last, first], heads), data, labels
    names = ["z-wide", "a tall"]
    model = keras.Model(
        {"z last": last, "a first": first}, dict(zip(names, heads, strict=True))
    )
    keys = ["z last", "a first"]
    labels = dict(zip(names, labels, strict=True))
    return model, dict(zip(keys, data, strict=True)), labels


@pytest.mark.slow
@pytest.mark.parametrize("form", ["list", "dict"])
def test_one_of_several_outputs(form, tmp_path):
    model, x, y = _two_of_each(form)
    folder, file = tmp_path / "saved", tmp_path / "x.tflite"
    keras_kd.export.saved_model(model, folder)
    keras_kd.export.tflite(model, file)
    keys = [0, 1] if form == "list" else list(y)
    expected = model.predict(x, verbose=0)
    models = [model, file] + [folder] * (form == "dict")
    for key in keys:
        right = (expected[key].argmax(-1) == y[key]).mean()
        for one in models:
            if one is folder:
                data = {name.replace(" ", "_"): x[name] for name in x}
            else:
                data = x
            found = evaluate(
                one,
                (data, y),
                None if one is folder else model,
                output=key,
                latency=False,
            )
            assert found.accuracy == pytest.approx(right)
            assert one is folder or found.agreement == 1.0
    card = keras_kd.export.read_card(file)
    assert [end["name"] for end in card["inputs"]] == ["z_last", "a_first"]
    names = [end["name"] for end in card["outputs"]]
    assert names == (["output_0", "output_1"] if form == "list" else list(y))
    assert card["output_kinds"] == ["logits", "probabilities"]


def test_an_output_is_chosen_among_several():
    model, x, y = _two_of_each("list")
    with pytest.raises(ValueError, match="`output` to be one of .* 0, 1"):
        evaluate(model, (x, y), latency=False)
    with pytest.raises(ValueError, match="output=2"):
        evaluate(model, (x, y), output=2, latency=False)
