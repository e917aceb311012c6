"""The files that a run leaves in its folder; two runs are never mixed."""

from pathlib import Path

RECORDS = (
    "history.json",
    "results.json",
    "report.html",
    "report.json",
)
# A teacher behind its vocabulary, what is before it, and its words.
TEXTS = ("teacher_of_numbers.keras", "words.keras", "vocabulary.txt")


def earlier_files(output: Path) -> list[Path]:
    """Return the files in a folder that an earlier run left."""
    from keras_kd.export.kinds import QUANTIZATIONS

    names = ["student.keras", *RECORDS, *TEXTS]
    for kind in QUANTIZATIONS:
        file = f"student_{kind}.tflite"
        names += [file, f"{file}.json", f"{file}.md"]
    return [output / name for name in names if (output / name).exists()]


def check_unused(output: Path, teacher: Path, *, overwrite: bool) -> None:
    """Refuse a folder with the files of an earlier run.

    Args:
        output: The folder.
        teacher: The teacher's file, which is never replaced.
        overwrite: Whether the user wants to replace the others.

    Raises:
        ValueError: Names the files, or says that the teacher is one of them.
    """
    kept = earlier_files(output)
    if teacher.resolve() in [path.resolve() for path in kept]:
        raise ValueError(
            f"The teacher `{teacher}` is a file that this run would replace. "
            "Choose another --output."
        )
    if kept and not overwrite:
        names = ", ".join(path.name for path in kept)
        raise ValueError(
            f"`{output}` holds the files of an earlier run ({names}). Choose "
            "another --output, or replace them with --overwrite."
        )


def remove_earlier(output: Path) -> None:
    """Remove the files of an earlier run."""
    for path in earlier_files(output):
        path.unlink()
