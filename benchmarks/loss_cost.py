"""Time and memory of a step with each loss, and each loss against PyTorch.

Two tables for 10, 100 and 1,000 classes. Steps: `fit` of a Distiller of small
convolutional models of 32x32 maps, as a multiple of the step with
`SoftTargets`. Losses: forward and backward of the loss alone, on arrays,
beside the same formula in PyTorch, which must give the same value. All jobs
alternate; the minimum over the rounds is compared. Memory is the peak above
what the process held before, which only Linux tells. A stopped run goes on
with the next number of classes. Writes `benchmarks/results/loss_cost.json`.

    python benchmarks/loss_cost.py [--rounds 7] [--quick]
"""

import argparse
import functools
import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import method_rows
import numpy as np
import record
import tensorflow as tf
import torch

import keras_kd
from keras_kd.losses import METHODS

SIDE, CHANNELS, WIDTH, STEPS = 32, 16, 64, 2
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
MOST_OF_SOFT_TARGETS = 1.03  # for losses of logits
MOST_OF_PYTORCH = 1.3
Jobs = dict[str, Callable[[], object]]


def convnet(classes: int, blocks: int, name: str) -> keras.Model:
    """A model with 32x32 `maps` and a `vector`."""
    inputs = x = keras.Input((SIDE, SIDE, 3))
    for number in range(blocks):
        layer = "maps" if number == blocks - 1 else f"block_{number}"
        x = keras.layers.Conv2D(
            CHANNELS, 3, padding="same", activation="relu", name=layer
        )(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Dense(WIDTH, name="vector")(x)
    return keras.Model(inputs, keras.layers.Dense(classes)(x), name=name)


def step(name: str, classes: int, batch: int) -> Callable[[], object]:
    """Return a function that trains for a few steps with one method."""
    rng = np.random.default_rng(0)
    x = rng.random((batch, SIDE, SIDE, 3), "float32")
    data = (x, rng.integers(0, classes, batch))
    if METHODS[name].needs_example_ids:
        data = keras_kd.data.number_examples(data)
    dataset = tf.data.Dataset.from_tensors(data).repeat(STEPS).cache()
    distiller = keras_kd.Distiller(
        convnet(classes, 4, "teacher"),
        convnet(classes, 2, "student"),
        method_rows.equal_widths(name),
        alpha=0.5,
    )
    distiller.compile("adam", loss=LOSS)
    return lambda: distiller.fit(dataset, verbose=0)


def arrays(name: str, classes: int, batch: int) -> tuple[np.ndarray, ...]:
    """Return the teacher's and the student's outputs, and labels."""
    rng = np.random.default_rng(1)
    shapes = {
        None: (batch, classes),
        "maps": (batch, SIDE, SIDE, CHANNELS),
        "vector": (batch, WIDTH),
    }
    shape = shapes[method_rows.layer(name)]
    outputs = rng.normal(size=(2, *shape)).astype("float32")
    return (*outputs, rng.integers(0, classes, batch))


def ours(name: str, classes: int, batch: int) -> tuple[Any, list[np.ndarray]]:
    """Return a function of value and gradients, and the loss's weights."""
    loss = METHODS[name]()
    teacher, student, y = map(tf.constant, arrays(name, classes, batch))
    y = None if method_rows.layer(name) else y
    loss(teacher, student, y)
    weights = loss.trainable_weights

    @tf.function
    def run() -> Any:
        with tf.GradientTape() as tape:
            tape.watch(student)
            value = tf.reduce_mean(loss(teacher, student, y, training=True))
        return value, tape.gradient(value, [student, *weights])

    return run, [weight.numpy() for weight in weights]


def pytorch(
    name: str, classes: int, batch: int, weights: list[np.ndarray]
) -> Any:
    """Return the same in PyTorch, maps with channels first."""
    teacher, student, y = arrays(name, classes, batch)
    if method_rows.layer(name) == "maps":
        teacher, student = (np.moveaxis(x, -1, 1) for x in (teacher, student))
    t, s = (torch.tensor(np.ascontiguousarray(x)) for x in (teacher, student))
    labels = torch.tensor(y)
    own = [torch.tensor(weight, requires_grad=True) for weight in weights]
    s.requires_grad_()
    peer = method_rows.peer(name)

    def run() -> Any:
        value = peer(t, s, labels, own)
        return value.detach(), torch.autograd.grad(value, [s, *own])

    return run


def peak_bytes(job: Callable[[], object]) -> int | None:
    """Return the bytes that a job takes above what the process holds."""
    reset, status = Path("/proc/self/clear_refs"), Path("/proc/self/status")
    if not reset.exists():
        return None
    gc.collect()
    reset.write_text("5")
    before = _kilobytes(status, "VmRSS")
    job()
    return 1024 * (_kilobytes(status, "VmHWM") - before)


def _kilobytes(status: Path, name: str) -> int:
    lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
    return int(lines[name].split()[0])


def losses_alone(classes: int, batch: int, rounds: int) -> dict[str, Any]:
    """Measure each loss alone, ours and PyTorch's."""
    jobs: Jobs = {}
    for name in method_rows.COMPARED:
        if method_rows.peer(name) is None:
            continue
        run, weights = ours(name, classes, batch)
        other = pytorch(name, classes, batch, weights)
        values = float(run()[0]), float(other()[0])
        np.testing.assert_allclose(*values, rtol=1e-3, err_msg=name)
        jobs[name], jobs[f"{name}, PyTorch"] = run, other
    best = record.minima(jobs, rounds)
    memory = {name: peak_bytes(job) for name, job in jobs.items()}
    table = {}
    for name in method_rows.COMPARED:
        if name not in jobs:
            continue
        peer = f"{name}, PyTorch"
        ratio = best[name] / best[peer]
        table[name] = {
            "milliseconds": round(1e3 * best[name], 3),
            "milliseconds, PyTorch": round(1e3 * best[peer], 3),
            "ratio": round(ratio, 3),
            "met": ratio <= MOST_OF_PYTORCH,
            "peak_bytes": memory[name],
            "peak_bytes, PyTorch": memory[peer],
        }
    return table


def steps(
    names: list[str], classes: int, batch: int, rounds: int
) -> dict[str, Any]:
    """Measure a step with each loss."""
    jobs = {name: step(name, classes, batch) for name in names}
    best = record.minima(jobs, rounds)
    memory = {name: peak_bytes(job) for name, job in jobs.items()}
    table = {}
    for name in names:
        ratio = best[name] / best["soft_targets"]
        table[name] = {
            "milliseconds": round(1e3 * best[name] / STEPS, 2),
            "ratio": round(ratio, 3),
            "met": METHODS[name].kind != "logit"
            or ratio <= MOST_OF_SOFT_TARGETS,
            "peak_bytes": memory[name],
        }
    return table


def show(title: str, table: dict[str, Any]) -> None:
    """Print one table, with what missed its limit."""
    print(title)
    for name, row in table.items():
        missed = "" if row["met"] else "  MISSED"
        print(
            f"  {name:34} {row['milliseconds']:9.2f} ms "
            f"{row['ratio']:7.3f}{missed}"
        )


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument(
        "--quick",
        action="store_true",
        help="a small batch, one round, three steps; writes nothing",
    )
    options = parser.parse_args()
    batch, rounds, sizes = 256, options.rounds, [10, 100, 1000]
    names = method_rows.COMPARED
    if options.quick:
        batch, rounds, sizes = 16, 1, [10]
        names = ["soft_targets", "relational_kd"]
    limits = {
        "step of a logit loss": MOST_OF_SOFT_TARGETS,
        "loss against PyTorch": MOST_OF_PYTORCH,
    }
    depends_on = {
        "what": f"batch {batch}, maps {SIDE}x{SIDE}x{CHANNELS}, vectors "
        f"of {WIDTH}, float32; minimum of {rounds} alternating rounds; "
        f"torch {torch.__version__}",
        "limits": limits,
    }

    def measured(classes: int) -> dict[str, Any]:
        found = {
            "losses": losses_alone(classes, batch, rounds),
            "steps": steps(names, classes, batch, rounds),
        }
        keras.backend.clear_session()
        return found

    jobs = {
        f"{classes} classes": functools.partial(measured, classes)
        for classes in sizes
    }
    cells = record.resumed(
        "loss_cost", depends_on, jobs, keep=not options.quick
    )
    for size, found in cells.items():
        show(f"losses, {size}, against PyTorch", found["losses"])
        show(f"steps, {size}, of SoftTargets'", found["steps"])


if __name__ == "__main__":
    main()
