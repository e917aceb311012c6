"""Errors name options, not Python arguments."""

import pytest

from keras_kd.cli.shell_words import in_shell_words

OPTIONS = {
    "alpha": "--alpha",
    "name": "--dataset",
    "max_train": "--max-train",
    "teacher": "teacher",
}


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            "`Distiller` needs `alpha` to be below 1. Received: alpha=2.",
            "`distill` needs `--alpha` to be below 1. Received: --alpha 2.",
        ),
        (
            "`load` needs `name` to be a set. Received: name='a'. "
            "Set `max_train`.",
            "`distill` needs `--dataset` to be a set. Received: --dataset "
            "'a'. Set `--max-train`.",
        ),
        (
            "`Distiller` needs `teacher` to be built. Received: teacher=3.",
            "`distill` needs `teacher` to be built. Received: teacher=3.",
        ),
        (
            "`cache build` needs `alpha` to be below 1. Received: alpha=2.",
            "`distill` needs `--alpha` to be below 1. Received: --alpha 2.",
        ),
        ("Use `alpha=0.5`.", "Use `--alpha 0.5`."),
        ("The model `teacher` is odd.", "The model `teacher` is odd."),
        (
            "Say it with `student_output='logits'`.",
            "Say it with `student_output='logits'`. `keras-kd distill` has no "
            "option for `student_output`: use `keras_kd` from Python.",
        ),
        ("`Hint` needs `metric` to be a.", "`Hint` needs `metric` to be a."),
    ],
    ids=[
        "needs",
        "renamed",
        "positional",
        "two words",
        "keyword",
        "model",
        "lacking",
        "unknown",
    ],
)
def test_words(message, expected):
    assert in_shell_words(message, "distill", OPTIONS) == expected
