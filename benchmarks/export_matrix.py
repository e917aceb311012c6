"""Every student becomes every kind of file: the whole matrix as a table.

Families at width 1, 10 classes: trained for three epochs on 4,000 images of
cifar10_jpeg (text: made sentences), exported to every kind and compared on
256 others. Classifiers of `keras.applications` at 96 pixels, random weights:
shrunk to a quarter of the width, distilled one step on 32 images, whose root
mean squares the batch normalizations divide by, exported to float32 and int8
and compared on 100 others: within the tolerances, no share of equal classes is
demanded, as one step teaches none. Where int8 does not pass, the student is
made quantize-aware, trained on (an epoch; a step) and exported again
(int8_aware), and its file has to do what it does: the tolerance is a quarter,
and four fifths of the classes have to be the same. A row is a process; a
failure is a row. Rows that are there are kept, so that the run can be stopped
and taken up again. Writes `benchmarks/results/export_matrix.json` and `.md`.

    python benchmarks/export_matrix.py [ROW ...] [--again]
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import matrix_rows
import record

TITLE = "export_matrix"
LIMIT_SECONDS = 3600
GROUPS = {
    "families": matrix_rows.FAMILIES,
    "applications": matrix_rows.APPLICATIONS,
}


def measured(name: str) -> dict[str, Any]:
    """Measure a row in a process of its own."""
    start = time.perf_counter()
    row = _child(name)
    return {**row, "wall_seconds": round(time.perf_counter() - start)}


def _child(name: str) -> dict[str, Any]:
    command = [sys.executable, __file__, name, "--in-process"]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            timeout=LIMIT_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return {"failed": f"stopped after {LIMIT_SECONDS} seconds"}
    row: dict[str, Any] = {"failed": f"exit code {done.returncode}"}
    lines = done.stdout.splitlines()
    if done.returncode == 0 and lines:
        row = json.loads(lines[-1])
    elif done.stderr.strip():
        row["failed"] += f": {done.stderr.strip().splitlines()[-1]}"
    return row


def in_process(name: str) -> dict[str, Any]:
    """Measure a row here; what goes wrong is the row."""
    application = name in matrix_rows.APPLICATIONS
    job = matrix_rows.application if application else matrix_rows.family
    try:
        return job(name)
    # Whatever it is, the table says it.
    except Exception as error:
        text = " ".join(str(error).split())
        return {"failed": f"{type(error).__name__}: {text}"}


def older() -> dict[str, Any]:
    """Return the rows of an earlier run."""
    found = record.read(TITLE)
    return {group: found.get(group, {}) for group in GROUPS}


def passed(row: dict[str, Any]) -> bool:
    """Tell whether every file of a row passed."""
    return "files" in row and all(f["passed"] for f in row["files"].values())


def write(rows: dict[str, Any]) -> Path:
    """Write both files."""
    rows = {
        group: {
            name: rows[group][name] for name in names if name in rows[group]
        }
        for group, names in GROUPS.items()
    }
    counts = {group: counted(found) for group, found in rows.items()}
    what = " ".join(__doc__.split("\n\n")[1].split())
    path = record.write(TITLE, {"what": what, "passed": counts, **rows})
    text = [f"# {__doc__.splitlines()[0]}", "", what, ""]
    text += [f"Rows whose files all pass: {counts}.".replace("'", ""), ""]
    for group, found in rows.items():
        kinds = ("float32", "int8", matrix_rows.AWARE)
        if group == "families":
            kinds = (*matrix_rows.KINDS, matrix_rows.AWARE)
        text += [f"## {group}", "", *table(found, kinds), ""]
        text += reasons(found)
    path.with_suffix(".md").write_text("\n".join(text).rstrip() + "\n")
    return path


def counted(rows: dict[str, Any]) -> dict[str, str]:
    """Return how many files of each kind were made and passed."""
    counts = {"rows": str(len(rows))}
    for kind in (*matrix_rows.KINDS, matrix_rows.AWARE):
        cells = [row.get("files", {}).get(kind) for row in rows.values()]
        found = [cell for cell in cells if cell]
        made = sum("bytes" in cell for cell in found)
        right = sum(cell["passed"] for cell in found)
        if found:
            counts[kind] = f"{made} of {len(found)} made, {right} passed"
    return counts


def _has(rows: dict[str, Any], kind: str) -> bool:
    return any(kind in row.get("files", {}) for row in rows.values())


def table(rows: dict[str, Any], kinds: list[str]) -> list[str]:
    """Return the lines of a table.

    A cell: bytes, ratio to float32; largest difference as a share of the
    range, mean difference as a share of the spread over examples, share of
    equal classes; and whether it passed.
    """
    lines = ["| | parameters | " + " | ".join(kinds) + " |"]
    lines += ["|---|---|" + "---|" * len(kinds)]
    for name, row in rows.items():
        cells = [cell(row.get("files", {}).get(kind)) for kind in kinds]
        lines.append(
            f"| {name} | {row.get('params', ''):,} | {' | '.join(cells)} |"
            if "files" in row
            else f"| {name} | failed | {' | '.join(cells)} |"
        )
    return lines


def cell(found: dict[str, Any] | None) -> str:
    """Return the text of a cell."""
    if found is None:
        return ""
    if "bytes" not in found:
        return "refused"
    return (
        f"{found['bytes']:,} ({found.get('ratio', 1):.3f}); "
        f"{found['max_difference']:.2g}, "
        f"{found['mean_difference_of_spread']:.2g}, "
        f"{found['agreement']:.1%}; {'pass' if found['passed'] else 'FAIL'}"
    )


def reasons(rows: dict[str, Any]) -> list[str]:
    """Return what went wrong, in words."""
    lines = []
    for name, row in rows.items():
        if "failed" in row:
            lines.append(f"- {name}: {row['failed']}")
        for kind, found in row.get("files", {}).items():
            if not found["passed"]:
                lines.append(f"- {name}, {kind}: {found['reason']}")
    return ["What does not pass:", "", *lines, ""] if lines else []


def main() -> None:
    """Measure what is missing, write after each row."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("rows", nargs="*", help="names, 'families' ...")
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--in-process", action="store_true")
    given = parser.parse_args()
    if given.in_process:
        print(json.dumps(in_process(given.rows[0])))
        return
    names = [n for row in given.rows or GROUPS for n in GROUPS.get(row, [row])]
    for name in names:
        group = next(g for g, members in GROUPS.items() if name in members)
        if name in older()[group] and not given.again:
            continue
        row = measured(name)
        verdict = "pass" if passed(row) else row.get("failed", "a file fails")
        print(f"{name:20} {row['wall_seconds']:5} s  {verdict}", flush=True)
        rows = older()  # another run may have written meanwhile
        rows[group][name] = row
        write(rows)
    print(f"written: {write(older()).name}")


if __name__ == "__main__":
    main()
