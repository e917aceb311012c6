"""Draws single examples: images, curves, texts and rows of numbers."""

import base64
import io
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np

from keras_kd.core.imports import optional
from keras_kd.core.model_files import open_model
from keras_kd.reporting import charts
from keras_kd.reporting import words
from keras_kd.reporting.contents import Contents
from keras_kd.reporting.contents import Panel
from keras_kd.reporting.contents import Table
from keras_kd.reporting.counting import envelope
from keras_kd.reporting.predictions import saliency

# Larger images are drawn with every second pixel, or every third, ...
_MOST_PIXELS = 96
# A longer row of numbers is drawn as a curve.
_MOST_NUMBERS = 32
_CURVE_PARTS = 160
_MOST_CHARACTERS = 400


class Drawn(NamedTuple):
    """Drawn examples, and whether a model's view of one is among them."""

    panels: list[list[Panel]]
    explained: bool


def panels(contents: Contents) -> Drawn:
    """Draw every disagreement, and what the models look at.

    Only Keras models have gradients. If the compared student is a file of
    another kind, the last Keras student is drawn for it.
    """
    found = contents.predictions
    assert found is not None  # noqa: S101
    examples = [one.x for one in found.disagreements]
    shares = {contents.teacher: [one.teacher for one in found.disagreements]}
    shares[contents.student] = [one.student for one in found.disagreements]
    views = {}
    for row, model in _keras_models(contents).items():
        picked = shares.get(row, shares[contents.student])
        choices = np.array([probabilities.argmax() for probabilities in picked])
        batch = keras.tree.map_structure(lambda *x: np.stack(x), *examples)
        views[row] = saliency(model, batch, choices, contents.model_output)
    drawn = []
    for place, example in enumerate(examples):
        row_panels = []
        for leaf, value in enumerate(keras.tree.flatten(example)):
            seen = {
                row: maps[leaf][place]  # type: ignore[index]
                for row, maps in views.items()
                if maps[leaf] is not None
            }
            row_panels += draw(np.asarray(value), seen)
        drawn.append(row_panels)
    explained = any(
        leaf is not None for maps in views.values() for leaf in maps
    )
    return Drawn(drawn, explained)


def _keras_models(contents: Contents) -> dict[str, keras.Model]:
    """Return the teacher and the student as Keras models, if they are."""
    found = {}
    for row, model in contents.models.items():
        if isinstance(model, keras.Model):
            found[row] = getattr(model, "student", model)
        elif not callable(model) and str(model).endswith((".keras", ".h5")):
            found[row] = open_model(Path(model))
    students = [row for row in found if row != contents.teacher]
    last = contents.student if contents.student in found else None
    wanted = (contents.teacher, last or (students[-1] if students else None))
    return {row: found[row] for row in wanted if row in found}


def draw(x: np.ndarray, seen: dict[str, np.ndarray]) -> list[Panel]:
    """Draw one input of an example, and once more for each model.

    Args:
        x: The input, without the batch axis.
        seen: How much each of its values counts, by model; like `x`.

    Example:
    >>> import numpy as np
    >>> from keras_kd.reporting.examples import draw
    >>> draw(np.array("a text"), {})[0].text
    'a text'
    """
    if x.dtype.kind in "OSU":
        return [Panel("text", text=_text(x))]
    if x.ndim == 3 and x.shape[-1] in (1, 3, 4):
        return _images(x, seen)
    if x.ndim == 2 and min(x.shape) > 1:
        named = {name: heat[..., None] for name, heat in seen.items()}
        return _images(x[..., None], named)
    flat = x.reshape(-1)
    named = {name: heat.reshape(-1) for name, heat in seen.items()}
    if x.size <= _MOST_NUMBERS:
        return [_numbers(flat, named)]
    return _curves(flat, named)


def _text(x: np.ndarray) -> str:
    parts = [
        part.decode("utf-8", "replace")
        if isinstance(part, bytes)
        else str(part)
        for part in x.reshape(-1).tolist()
    ]
    text = " ".join(parts)
    if len(text) <= _MOST_CHARACTERS:
        return text
    return f"{text[:_MOST_CHARACTERS]}…"


def _images(x: np.ndarray, seen: dict[str, np.ndarray]) -> list[Panel]:
    step = -(-max(x.shape[:2]) // _MOST_PIXELS)
    shown = x[::step, ::step].astype(np.float64)
    low, high = shown.min(), shown.max()
    shown = (shown - low) / (high - low) if high > low else shown * 0
    drawn = [Panel("input", image=_png(shown))]
    grey = shown[..., :3].mean(-1)
    for name, heat in seen.items():
        drawn.append(
            Panel(f"seen by {name}", image=_png(_overlaid(grey, heat, step)))
        )
    return drawn


def _overlaid(grey: np.ndarray, heat: np.ndarray, step: int) -> np.ndarray:
    """Colour a grey image: orange speaks for the class, blue against it."""
    heat = heat.sum(-1)[::step, ::step]
    most = np.abs(heat).max()
    share = (heat / most if most > 0 else heat)[..., None]
    colour = np.where(share > 0, (0.95, 0.45, 0.0), (0.15, 0.4, 0.95))
    strength = np.sqrt(np.abs(share))
    return (1 - strength) * (0.35 + 0.5 * grey[..., None]) + strength * colour


def _png(image: np.ndarray) -> str:
    """Return an image of values from 0 to 1 as a data URI."""
    draw_image = optional("matplotlib.image", "report", "`keras_kd.report`")
    content = io.BytesIO()
    if image.shape[-1] == 1:
        image = np.repeat(image, 3, axis=-1)
    image = np.ascontiguousarray(image[..., :4])
    draw_image.imsave(content, image, format="png")
    text = base64.b64encode(content.getvalue()).decode()
    return f"data:image/png;base64,{text}"


def _numbers(x: np.ndarray, seen: dict[str, np.ndarray]) -> Panel:
    table = Table(
        caption="input",
        columns=("value", *("number",), *(f"for {name}" for name in seen)),
        rows=[
            (
                str(place),
                words.number(value),
                *(words.number(float(heat[place])) for heat in seen.values()),
            )
            for place, value in enumerate(x.tolist())
        ],
    )
    return Panel("input", table=table)


def _curves(x: np.ndarray, seen: dict[str, np.ndarray]) -> list[Panel]:
    parts = envelope(x.astype(np.float64), _CURVE_PARTS)
    drawn = [Panel("input", svg=charts.curve("input", parts, None))]
    for name, heat in seen.items():
        share = np.abs(envelope(heat, _CURVE_PARTS)).max(-1)
        share = share / share.max() if share.max() > 0 else share
        caption = f"seen by {name}"
        drawn.append(Panel(caption, svg=charts.curve(caption, parts, share)))
    return drawn
