"""Examples are drawn as what they are."""

import base64
import io

import numpy as np
import pytest
from matplotlib.image import imread

from keras_kd.reporting.examples import draw


def pixels(panel):
    content = base64.b64decode(panel.image.partition(",")[2])
    return imread(io.BytesIO(content), format="png")


def test_an_image_is_drawn_with_all_its_pixels():
    image = np.arange(12, dtype="float32").reshape(2, 2, 3)
    (panel,) = draw(image, {})
    assert pixels(panel)[..., :3] == pytest.approx(image / 11, abs=1 / 255)


def test_a_large_image_is_drawn_with_fewer_pixels():
    (panel,) = draw(np.zeros((200, 100, 1), "uint8"), {})
    assert pixels(panel).shape[:2] == (67, 34)


def test_what_speaks_for_a_class_is_orange_and_against_it_blue():
    heat = np.array([[[1.0], [-1.0]]])
    _, panel = draw(np.zeros((1, 2, 1)), {"teacher": heat})
    (orange, blue) = pixels(panel)[0, :, :3]
    assert orange[0] > orange[1] > orange[2]
    assert blue[2] > blue[1] > blue[0]
    assert panel.caption == "seen by teacher"


@pytest.mark.parametrize(
    "text",
    [np.array("a <b>"), np.array([b"a <b>"], object)],
    ids=["str", "bytes"],
)
def test_text_is_shown(text):
    (panel,) = draw(text, {})
    assert panel.text == "a <b>"


def test_long_text_is_cut():
    (panel,) = draw(np.array("x" * 1000), {})
    assert len(panel.text) == 401


def test_a_row_of_numbers_is_a_table():
    (panel,) = draw(np.array([0.5, 2.0]), {"teacher": np.array([1.0, -1.0])})
    assert panel.table.rows == [("0", "0.5", "1"), ("1", "2", "-1")]


def test_a_waveform_is_a_curve():
    wave = np.sin(np.linspace(0, 9, 1000))[:, None]
    input_panel, seen = draw(wave, {"teacher": wave})
    assert "<svg" in input_panel.svg
    assert "var(--series-2)" in seen.svg
    assert "var(--series-2)" not in input_panel.svg
