"""The digits data set, which the package contains."""

from pathlib import Path

import numpy as np

Pair = tuple[np.ndarray, np.ndarray]

# Each value counts the dark pixels of a 4x4 block.
DIGITS_LEVELS = 16


def digits() -> tuple[Pair, Pair]:
    """Return 1,797 handwritten digits as training and test arrays.

    Use it for quick starts, examples and tests: real data, no download. The
    split is fixed, with 50 test images of each class. The same writers are
    in both parts.

    Reference:
        E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten
        Digits, UCI Machine Learning Repository, 1998, CC BY 4.0;
        `digits.txt` beside this file has the details.

    Shapes:
        x: `(1297, 8, 8, 1)` and `(500, 8, 8, 1)`, float32 in [0, 1].
        y: `(1297,)` and `(500,)`, int32, 0 to 9.

    Returns:
        `(x_train, y_train), (x_test, y_test)`, new arrays at each call.

    Example:
    >>> import keras_kd
    >>> (x_train, y_train), (x_test, y_test) = keras_kd.data.digits()
    >>> len(x_train), len(x_test)
    (1297, 500)
    """
    x_train, y_train, x_test, y_test = digits_uint8()

    def scaled(images: np.ndarray) -> np.ndarray:
        return images.astype("float32") / DIGITS_LEVELS

    return (
        (scaled(x_train), y_train.astype("int32")),
        (scaled(x_test), y_test.astype("int32")),
    )


def digits_uint8() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return the stored arrays, the images with a channel axis."""
    path = Path(__file__).with_name("digits.npz")
    with np.load(path, allow_pickle=False) as stored:
        return (
            stored["x_train"][..., np.newaxis],
            stored["y_train"],
            stored["x_test"][..., np.newaxis],
            stored["y_test"],
        )
