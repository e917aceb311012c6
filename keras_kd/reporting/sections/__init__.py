"""The sections of a report, in the order of the page."""

from collections.abc import Callable

from keras_kd.reporting.contents import Contents
from keras_kd.reporting.contents import Section
from keras_kd.reporting.sections import compared
from keras_kd.reporting.sections import files
from keras_kd.reporting.sections import measured
from keras_kd.reporting.sections import training
from keras_kd.reporting.sections import trials

# Each returns `None` when there is nothing to say.
SECTIONS: tuple[Callable[[Contents], Section | None], ...] = (
    measured.answer,
    measured.rows,
    training.curves,
    trials.front,
    trials.space,
    compared.confidence,
    compared.errors,
    measured.classes,
    compared.disagreements,
    files.checks,
    files.layers,
    files.made,
)


def sections(contents: Contents) -> list[Section]:
    """Return the sections that have something to say."""
    found = (build(contents) for build in SECTIONS)
    return [section for section in found if section is not None]
