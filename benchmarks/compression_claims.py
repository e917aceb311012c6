"""Two claims of the field, on real images, files measured as devices run them.

A student a quarter the size of its teacher, at the teacher's accuracy or
better: both float32 files. And one hundredth of the bytes within half a
point: the student's int8 file against the teacher's float32 file. The
teacher is a VGG-8 (on mnist of half the width), trained on 10,000 images with
their labels. The students learn from its stored logits: on mnist on the same
images, on cifar10_jpeg on 45,000, of which nobody tells them a label: they see
the image or its mirror image, up to 4 pixels off, and learn the mean of the
logits for both where they belong. Accuracy is that of the files on all test
images; where there are `seeds`, the mean of students from other first weights.

Writes `benchmarks/results/compression_claims.json`; what is not run stays as
it is there, claims only if the teacher comes out the same.

    python benchmarks/compression_claims.py \
        [--datasets mnist cifar10_jpeg] [--claims quarter hundredth] [--seeds 3]
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import mean
from typing import Any
from typing import NamedTuple

import keras
import numpy as np
import record
import tensorflow as tf
from search_table import percent

import keras_kd
from keras_kd import export
from keras_kd import students

BATCH, LABELLED = 64, 10_000
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


class Claim(NamedTuple):
    """What a file has to be.

    Attributes:
        kind: Of the student's file; the teacher's is float32.
        share: Largest share of the teacher's bytes.
        points: Largest loss of accuracy, in points.
    """

    kind: str
    share: float
    points: float


CLAIMS = {
    "quarter": Claim("float32", 1 / 4, 0.0),
    "hundredth": Claim("int8", 1 / 100, 0.5),
}


class Student(NamedTuple):
    """A family, its arguments, and how long it learns."""

    family: str
    arguments: dict[str, Any]
    epochs: int


class Setting(NamedTuple):
    """Who learns what.

    Attributes:
        teacher: Learns from labels.
        quarter: The student of a quarter of its bytes.
        hundredth: The student of a hundredth.
        alpha: Weight of the distillation; 1 needs no labels.
        images: Images that the students see.
        augmented: Whether they see images mirrored and moved, and learn the
            mean of the teacher's logits for both sides, unmoved.
        temperature: Of the distillation.
    """

    teacher: Student
    quarter: Student
    hundredth: Student
    alpha: float
    images: int
    augmented: bool = False
    temperature: float = 4.0


SETTINGS = {
    "mnist": Setting(
        teacher=Student("vgg", {"width": 0.5}, 4),
        quarter=Student("vgg", {"width": 0.245}, 12),
        hundredth=Student("convnet", {"filters": (10, 20, 36)}, 20),
        alpha=0.9,
        images=LABELLED,
    ),
    "cifar10_jpeg": Setting(
        teacher=Student("vgg", {"width": 1.0}, 8),
        quarter=Student("vgg", {"width": 0.49}, 10),
        hundredth=Student("vgg", {"width": 0.19}, 20),
        alpha=1.0,
        images=45_000,
        augmented=True,
    ),
}


def with_mirror(teacher: keras.Model) -> keras.Model:
    """Average a teacher's logits for images and their mirror images."""
    image = keras.Input(teacher.input_shape[1:])
    both = [teacher(image), teacher(keras.ops.flip(image, axis=2))]
    return keras.Model(image, keras.layers.average(both))


def flipped(image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Flip an image or not."""
    return tf.image.stateless_random_flip_left_right(image, seed)


def shifted(x: dict[str, Any], y: tf.Tensor) -> tuple[Any, tf.Tensor]:
    """Move a batch by up to 4 pixels; the teacher saw it unmoved."""
    images = x["inputs"]
    sides = tf.pad(images, [(0, 0), (4, 4), (4, 4), (0, 0)], "REFLECT")
    return {**x, "inputs": tf.image.random_crop(sides, tf.shape(images))}, y


class Bench:
    """A data set, its teacher and what the teacher said."""

    def __init__(self, name: str, folder: Path) -> None:
        self.setting = SETTINGS[name]
        self._folder = folder
        self._data = keras_kd.data.load(
            name, batch_size=BATCH, max_train=LABELLED
        )
        self.teacher = self._trained_teacher()
        self._seen = keras_kd.data.load(
            name, batch_size=BATCH, max_train=self.setting.images
        )
        augmented = self.setting.augmented
        self._cache = keras_kd.TeacherCache.build(
            folder / "cache",
            with_mirror(self.teacher) if augmented else self.teacher,
            self._seen.train,
            views=2 if augmented else 1,
            augment=flipped if augmented else None,
            verbose=0,
        )

    def distilled(self, claim: str, seed: int) -> keras.Model:
        """Train the student of a claim on the stored logits."""
        keras.utils.set_random_seed(seed)
        chosen = getattr(self.setting, claim)
        distiller = keras_kd.Distiller(
            self._cache,
            self._made(chosen),
            alpha=self.setting.alpha,
            temperature=self.setting.temperature,
        )
        distiller.compile(self._adam(chosen.epochs, self._seen), loss=LOSS)
        train = self._cache.join(self._seen.train)
        if self.setting.augmented:
            train = train.map(shifted)
        distiller.fit(train, epochs=chosen.epochs, shuffle=False, verbose=0)
        return distiller.student

    def file(self, model: keras.Model, kind: str) -> dict[str, Any]:
        """Export and measure the file."""
        path = self._folder / f"{model.name}_{kind}.tflite"
        calibration = self._data.train.take(4)
        result = export.tflite(model, path, kind, calibration=calibration)
        found = keras_kd.evaluate(path, self._data.test, latency=False)
        return {
            "bytes": result.size_bytes,
            "accuracy": percent(found.accuracy),
            "params": model.count_params(),
        }

    def _trained_teacher(self) -> keras.Model:
        keras.utils.set_random_seed(0)
        chosen = self.setting.teacher
        teacher = self._made(chosen)
        teacher.compile(self._adam(chosen.epochs, self._data), loss=LOSS)
        teacher.fit(
            self._data.train, epochs=chosen.epochs, shuffle=False, verbose=0
        )
        return teacher

    def _made(self, chosen: Student) -> keras.Model:
        build = getattr(students, chosen.family)
        return build(self._data.input_shape, 10, **chosen.arguments)

    def _adam(self, epochs: int, data: Any) -> keras.optimizers.Optimizer:
        steps = epochs * int(np.ceil(data.num_train / BATCH))
        return keras.optimizers.Adam(
            keras.optimizers.schedules.CosineDecay(2e-3, steps)
        )


def judged(
    found: dict[str, Any], teacher: dict[str, Any], claim: Claim
) -> dict[str, Any]:
    """Add the shares, and whether a claim is met."""
    of_bytes = found["bytes"] / teacher["bytes"]
    lead = round(found["accuracy"] - teacher["accuracy"], 2)
    met = of_bytes <= claim.share and lead >= -claim.points
    verdict = "met" if met else "MISSED"
    print(
        f"  {of_bytes:.4f} of the bytes (at most {claim.share}), "
        f"{lead:+.2f} points (at least {-claim.points:+g}): {verdict}",
        flush=True,
    )
    return found | {
        "share_of_bytes": round(of_bytes, 5),
        "points": lead,
        "verdict": verdict,
    }


def over_seeds(files: list[dict[str, Any]]) -> dict[str, Any]:
    """Return one entry of several files: the most bytes, the mean accuracy."""
    found = [file["accuracy"] for file in files]
    print(f"  {found} %", flush=True)
    return files[0] | {
        "bytes": max(file["bytes"] for file in files),
        "accuracy": round(mean(found), 2),
        "seeds": found,
    }


def measure(
    name: str, claims: list[str], seeds: int
) -> Iterator[dict[str, Any]]:
    """Train, export, compare; print, and yield the table as it grows."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        bench = Bench(name, Path(folder))
        teacher = bench.file(bench.teacher, "float32")
        print(f"{name}: teacher {teacher}", flush=True)
        shared = bench.setting._asdict()
        chosen = {key: shared.pop(key)._asdict() for key in CLAIMS}
        shared["teacher"] = shared["teacher"]._asdict()
        table = {"setting": shared, "teacher_float32": teacher}
        yield table
        for key in claims:
            kind = CLAIMS[key].kind
            files = [
                bench.file(bench.distilled(key, seed), kind)
                for seed in range(1, seeds + 1)
            ]
            found = judged(over_seeds(files), teacher, CLAIMS[key])
            found["seconds"] = round(time.perf_counter() - start)
            table[f"{key}_{kind}"] = {"student": chosen[key], **found}
            yield table


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--datasets", nargs="+", default=list(SETTINGS))
    parser.add_argument("--claims", nargs="+", default=list(CLAIMS))
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    what = " ".join(__doc__.split("\n\n")[1].split())
    tables = record.read("compression_claims").get("datasets", {})
    for name in given.datasets:
        for table in measure(name, given.claims, given.seeds):
            known = tables.get(name, {})
            # A claim about another teacher says nothing of this one.
            same = known.get("teacher_float32") == table["teacher_float32"]
            tables[name] = {**known, **table} if same else table
            record.write(
                "compression_claims", {"what": what, "datasets": tables}
            )
        print(f"written: {name}", flush=True)


if __name__ == "__main__":
    main()
