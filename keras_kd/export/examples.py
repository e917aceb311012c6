"""Reads the examples for calibrating and comparing a file."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_kd.core.batches import batches
from keras_kd.export.context import Context
from keras_kd.export.random_examples import cast
from keras_kd.export.random_examples import check_no_strings
from keras_kd.export.signature import InputSpec

# Fewer examples leave most activation ranges unseen; the published advice
# is 100 to 500.
MIN_CALIBRATION = 10
NUM_CALIBRATION = 200
# Enough to notice that 2 % of the classes change.
NUM_EXAMPLES = 256


@dataclass(frozen=True)
class Examples:
    """Examples to compare a file with its student on.

    Args:
        inputs: Arrays by input name.
        labels: The labels of the dataset as one array, `None` without.
    """

    inputs: dict[str, np.ndarray]
    labels: np.ndarray | None = None

    def __len__(self) -> int:
        return len(next(iter(self.inputs.values())))


def collect(
    context: Context,
    dataset: Any,
    limit: int | None,
    argument: str,
    *,
    raw: bool = False,
) -> Examples:
    """Return the first examples of a dataset in the types of the file.

    Args:
        context: Describes the file's inputs.
        dataset: Data in any form that `keras_kd.core.batches` takes.
        limit: Largest number of examples to read; `None` for all.
        argument: Name of the user's argument, for error messages.
        raw: Whether to keep the dataset's own types.

    Returns:
        The `Examples`.

    Raises:
        ValueError: If shapes do not fit the student, if values are not finite
            numbers, or if there are no examples.
    """
    parts: list[dict[str, np.ndarray]] = []
    labels: list[Any] = []
    count = 0
    for x, y, _ in batches(dataset, subject=context.subject):
        part = _named(context, x, argument)
        parts.append(part)
        labels.append(y)
        count += len(next(iter(part.values())))
        if limit is not None and count >= limit:
            break
    specs = context.signature.specs
    arrays = {
        spec.name: np.concatenate([part[spec.name] for part in parts])[:limit]
        for spec in specs
    }
    for spec in specs:
        _check_values(context, spec, arrays[spec.name], argument)
    kept = None
    if all(isinstance(y, np.ndarray) for y in labels):
        kept = np.concatenate(labels)[:limit]
    return Examples(arrays if raw else cast(context, arrays), kept)


def calibration_examples(context: Context, dataset: Any) -> Examples:
    """Return calibration examples as the converter takes them.

    Args:
        context: Describes the file's inputs.
        dataset: The user's `calibration`.

    Raises:
        ValueError: See `collect`; also if the student takes floats and the
            data holds integers, if all values are equal, or if there are
            fewer than `MIN_CALIBRATION` examples.
    """
    given = collect(context, dataset, NUM_CALIBRATION, "calibration", raw=True)
    arrays = given.inputs
    for spec in context.signature.specs:
        value = arrays[spec.name]
        is_float = "float" in spec.dtype
        expected = received = advice = ""
        if is_float and value.dtype.kind != "f":
            expected = f"floating point for `{spec.key}`"
            received = value.dtype.name
            advice = (
                "Give the preprocessed values of the training, or, where the "
                "file preprocesses bytes, `input_dtype='uint8'`."
            )
        elif len(value) < MIN_CALIBRATION:
            expected = f"a dataset of at least {MIN_CALIBRATION} examples"
            received = f"{len(value)} examples"
            advice = "100 or more training examples are best."
        elif is_float and value.min() == value.max():
            expected = f"real examples for `{spec.key}`"
            received = f"{value.min():g} everywhere"
            advice = "The ranges of int8 are taken from it."
        if expected:
            raise context.refusal("calibration", expected, received, advice)
    return Examples(cast(context, arrays), given.labels)


def verification_examples(context: Context, dataset: Any) -> Any:
    """Read the user's `verify` before anything is converted.

    `None` (random inputs) and `False` (no comparison) are returned unchanged.

    Raises:
        ValueError: See `collect` and `check_no_strings`.
    """
    if dataset is None:
        check_no_strings(context)
    if dataset is None or dataset is False:
        return dataset
    return collect(context, dataset, NUM_EXAMPLES, "verify")


def _named(context: Context, x: Any, argument: str) -> dict[str, Any]:
    """Check one batch of inputs and return it by name."""
    specs = context.signature.specs
    if isinstance(x, Mapping):
        values = [x.get(spec.key, x.get(spec.name)) for spec in specs]
        complete = not any(value is None for value in values)
    else:
        values = list(x) if isinstance(x, (list, tuple)) else [x]
        complete = len(values) == len(specs)
    if not complete:
        keys = ", ".join(repr(spec.key) for spec in specs)
        dicts = isinstance(x, Mapping)
        received = list(x) if dicts else f"{len(values)} inputs"
        part = f"x[{received[0]!r}]" if dicts else "x[0]"
        if len(specs) > 1:
            part = "{" + ", ".join(f"{spec.key!r}: ..." for spec in specs) + "}"
        raise context.refusal(
            argument,
            f"batches with the inputs {keys}",
            received,
            "Give what the student takes of it, such as "
            f"`data.map(lambda x, y: {part})`.",
        )
    return {
        spec.name: _fitting(context, spec, np.asarray(value), argument)
        for spec, value in zip(specs, values, strict=True)
    }


def _fitting(
    context: Context, spec: InputSpec, value: np.ndarray, argument: str
) -> np.ndarray:
    """Return `value` if its shape fits `spec`, apart from the batch size."""
    fits = value.ndim == len(spec.shape) and all(
        want is None or want == size
        for want, size in zip(spec.shape[1:], value.shape[1:], strict=True)
    )
    if not fits:
        raise context.refusal(
            argument,
            f"batches of shape {spec.shape} for `{spec.key}`",
            value.shape,
            "The first axis counts examples.",
        )
    return value


def _check_values(
    context: Context, spec: InputSpec, value: np.ndarray, argument: str
) -> None:
    """Refuse values that are not finite numbers, or strings where due.

    The converter does not notice NaN: calibrated on it, it makes a float model.
    """
    text = spec.dtype == "string"
    if value.dtype.kind not in ("OSU" if text else "fiub"):
        expected = f"{'strings' if text else 'numbers'} for `{spec.key}`"
        raise context.refusal(argument, expected, value.dtype.name)
    if text:
        return
    if spec.dtype == "uint8":
        _check_bytes(context, spec, value, argument)
    if not np.isfinite(value).all():
        bad = int(np.count_nonzero(~np.isfinite(value)))
        raise context.refusal(
            argument,
            f"finite for `{spec.key}`",
            f"{bad} values that are NaN or infinite",
            "Check the preprocessing.",
        )


def _check_bytes(
    context: Context, spec: InputSpec, value: np.ndarray, argument: str
) -> None:
    """Refuse fractions from 0 to 1, which as bytes are nearly all 0."""
    low, high = float(value.min()), float(value.max())
    fractions = value.dtype.kind == "f" and high <= 1
    if fractions or low < 0 or high > 255:
        raise context.refusal(
            argument,
            f"bytes from 0 to 255 for `{spec.key}`",
            f"{value.dtype.name} from {low:g} to {high:g}",
            "Give the pixels as they are before any scaling: the file, or its "
            "`preprocess`, scales them.",
        )
