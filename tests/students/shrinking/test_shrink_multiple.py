"""students.shrink(multiple=...): which widths are rounded, and how."""

import keras
import pytest
from keras import layers
from small_graphs import model_of
from small_graphs import run

from keras_kd.students import shrink
from keras_kd.students.scaling import rounded


@pytest.mark.parametrize(
    ("count", "width", "multiple", "expected"),
    [
        (64, 0.5, 8, 32),
        (64, 0.3, 8, 24),  # 19.2: 16 is less than nine tenths of it.
        (144, 0.25, 8, 40),  # 36: in the middle, up.
        (192, 0.18, 8, 32),  # 34.6: 32 is more than nine tenths.
        (64, 0.2, 8, 13),  # Less than 16 is not rounded to eights.
        (60, 0.5, 8, 30),  # The teacher's is no multiple.
        (64, 0.3, 1, 19),
        (64, 0.4, 16, 26),
        (96, 0.4, 16, 48),
        (8, 0.01, 8, 1),
        (48, 0.99, 8, 48),
    ],
)
def test_rounding(count, width, multiple, expected):
    assert rounded(count, width, multiple) == expected


@pytest.mark.parametrize("count", [16, 24, 64, 72, 320, 2048])
@pytest.mark.parametrize("width", [0.05, 0.1, 0.33, 0.5, 0.77, 0.9, 1])
def test_never_below_nine_tenths_nor_above_the_teachers(count, width):
    result = rounded(count, width, 8)
    asked = width * count
    assert min(0.9 * asked, round(asked)) <= result <= count
    assert result % 8 == 0 or asked < 16


@pytest.mark.parametrize(("multiple", "filters"), [(1, 19), (4, 20), (8, 24)])
def test_widths_of_a_student(multiple, filters):
    teacher = model_of(layers.Conv2D(64, 3, name="wide"))
    student = shrink(teacher, width=0.3, multiple=multiple)
    assert student.get_layer("wide").filters == filters


def test_sums_of_concatenations_fit_at_every_width():
    # Rounded one by one, 0.3 * 10 + 0.3 * 5 + 0.3 * 5 would be 3 + 2 + 2,
    # and 0.3 * 20 is 6.
    inputs = keras.Input((6, 6, 3))
    x = layers.Conv2D(20, 1, name="trunk")(inputs)
    parts = [layers.Conv2D(n, 1, name=f"part_{i}")(x) for i, n in PARTS]
    x = layers.Add()([x, layers.Concatenate()(parts)])
    x = layers.GlobalAveragePooling2D()(x)
    student = shrink(keras.Model(inputs, layers.Dense(2)(x)), width=0.3)
    widths = [student.get_layer(f"part_{i}").filters for i, _ in PARTS]
    assert widths == [3, 2, 2]
    assert student.get_layer("trunk").filters == 7
    run(student)


PARTS = ((0, 10), (1, 5), (2, 5))


def test_heads_of_an_attention_keep_equally_many():
    inputs = keras.Input((5, 3))
    x = layers.Dense(12, name="queries")(inputs)
    x = layers.Reshape((5, 3, 4), name="heads")(x)
    x = layers.Reshape((5, 12))(layers.Permute((1, 3, 2))(x))
    x = layers.GlobalAveragePooling1D()(x)
    student = shrink(keras.Model(inputs, layers.Dense(2)(x)), width=0.4)
    # 4.8 of 12 are 5; two for each of three heads are 6.
    assert student.get_layer("heads").target_shape == (5, 3, 2)
    run(student)


def test_what_meets_the_input_keeps_its_width():
    inputs = keras.Input((6, 6, 3))
    x = layers.Conv2D(16, 3, padding="same", name="free")(inputs)
    x = layers.Conv2D(3, 3, padding="same", name="met")(x)
    x = layers.Flatten()(layers.Add()([inputs, x]))
    student = shrink(keras.Model(inputs, layers.Dense(2)(x)), width=0.5)
    assert student.get_layer("free").filters == 8
    assert student.get_layer("met").filters == 3
    run(student)


@pytest.mark.parametrize("value", [0, -8])
def test_a_multiple_out_of_range(value):
    with pytest.raises(ValueError, match=f"multiple={value}"):
        shrink(model_of(layers.Dense(8)), multiple=value)


def test_a_multiple_of_the_wrong_type():
    with pytest.raises(TypeError, match=r"multiple=8\.0"):
        shrink(model_of(layers.Dense(8)), multiple=8.0)
