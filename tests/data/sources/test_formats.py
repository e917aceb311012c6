import numpy as np
import pytest
import scipy.signal

from keras_kd.data.sources.formats import resampled


@pytest.mark.parametrize(
    ("rate", "target"), [(800, 400), (400, 800), (600, 400)]
)
def test_resampling_is_that_of_scipy(rate, target):
    time = np.arange(120) / rate
    sound = np.sin(2 * np.pi * 40 * time)[:, None].astype("float32")
    found = resampled(sound, rate, target).numpy()
    expected = scipy.signal.resample(sound, 120 * target // rate)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_length_that_does_not_divide_is_rounded_up():
    assert resampled(np.zeros((7, 2), "float32"), 800, 400).shape == (4, 2)
