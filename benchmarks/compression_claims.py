"""Two claims of the field, on real images, files measured as devices run them.

A student a quarter the size of its teacher, at the teacher's accuracy or
better: both float32 files. And one hundredth of the bytes within half a
point: the student's int8 file against the teacher's float32 file. The
teacher is a VGG-8 (on mnist of half the width), trained on 10,000 images with
their labels. The students learn from its stored logits: on mnist on the same
images, on cifar10_jpeg on two views, flipped or not, of 45,000, of which nobody
tells them a label, and for longer than the teacher. Accuracy is that of the
files on all test images. Writes `benchmarks/results/compression_claims.json`;
data sets that are not run stay as they are there.

    python benchmarks/compression_claims.py [--datasets mnist cifar10_jpeg]
"""

import argparse
import tempfile
import time
from pathlib import Path
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
QUARTER, HUNDREDTH, POINTS = 1 / 4, 1 / 100, 0.5


class Setting(NamedTuple):
    """Who, how long, and how.

    Attributes:
        teacher_width: Width of the VGG-8 that is the teacher.
        teacher_epochs: Its epochs.
        quarter_width: Width of the VGG-8 of a quarter of its bytes.
        quarter_epochs: Its epochs.
        hundredth: Family of the student of a hundredth, and its arguments.
        hundredth_epochs: Its epochs.
        alpha: Weight of the distillation; 1 needs no labels.
        images: Images that the students see.
        views: Views of each.
        temperature: Of the distillation.
    """

    teacher_width: float
    teacher_epochs: int
    quarter_width: float
    quarter_epochs: int
    hundredth: tuple[str, dict[str, Any]]
    hundredth_epochs: int
    alpha: float
    images: int
    views: int = 1
    temperature: float = 4.0


SETTINGS = {
    "mnist": Setting(
        teacher_width=0.5,
        teacher_epochs=4,
        quarter_width=0.245,
        quarter_epochs=12,
        hundredth=("convnet", {"filters": (10, 20, 36)}),
        hundredth_epochs=20,
        alpha=0.9,
        images=LABELLED,
    ),
    "cifar10_jpeg": Setting(
        teacher_width=1.0,
        teacher_epochs=8,
        quarter_width=0.49,
        quarter_epochs=10,
        hundredth=("vgg", {"width": 0.19}),
        hundredth_epochs=40,
        alpha=1.0,
        images=45_000,
        views=2,
    ),
}


def flipped(image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Flip an image or not."""
    return tf.image.stateless_random_flip_left_right(image, seed)


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
        self._cache = keras_kd.TeacherCache.build(
            folder / "cache",
            self.teacher,
            self._seen.train,
            views=self.setting.views,
            augment=flipped if self.setting.views > 1 else None,
            verbose=0,
        )

    def quarter(self) -> keras.Model:
        """Return the teacher's family at just under half its width."""
        return self._vgg(self.setting.quarter_width)

    def hundredth(self) -> keras.Model:
        """Return a student whose int8 file is one hundredth."""
        family, arguments = self.setting.hundredth
        build = getattr(students, family)
        return build(self._data.input_shape, 10, **arguments)

    def distilled(self, student: keras.Model, epochs: int) -> keras.Model:
        """Train a student on the stored logits."""
        distiller = keras_kd.Distiller(
            self._cache,
            student,
            alpha=self.setting.alpha,
            temperature=self.setting.temperature,
        )
        distiller.compile(self._adam(epochs, self._seen), loss=LOSS)
        train = self._cache.join(self._seen.train)
        distiller.fit(train, epochs=epochs, shuffle=False, verbose=0)
        return student

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
        teacher = self._vgg(self.setting.teacher_width)
        epochs = self.setting.teacher_epochs
        teacher.compile(self._adam(epochs, self._data), loss=LOSS)
        teacher.fit(self._data.train, epochs=epochs, shuffle=False, verbose=0)
        return teacher

    def _vgg(self, width: float) -> keras.Model:
        return students.vgg(self._data.input_shape, 10, width=width)

    def _adam(self, epochs: int, data: Any) -> keras.optimizers.Optimizer:
        steps = epochs * int(np.ceil(data.num_train / BATCH))
        return keras.optimizers.Adam(
            keras.optimizers.schedules.CosineDecay(2e-3, steps)
        )


def judged(
    found: dict[str, Any], teacher: dict[str, Any], share: float, points: float
) -> dict[str, Any]:
    """Add the shares, and whether a claim is met."""
    of_bytes = found["bytes"] / teacher["bytes"]
    lead = round(found["accuracy"] - teacher["accuracy"], 2)
    verdict = "met" if of_bytes <= share and lead >= -points else "MISSED"
    print(
        f"  {of_bytes:.4f} of the bytes (at most {share}), "
        f"{lead:+.2f} points (at least {-points:+g}): {verdict}",
        flush=True,
    )
    return found | {
        "share_of_bytes": round(of_bytes, 5),
        "points": lead,
        "verdict": verdict,
    }


def measure(name: str) -> dict[str, Any]:
    """Train, export, compare; print and return."""
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(name, Path(folder))
        setting = bench.setting
        teacher = bench.file(bench.teacher, "float32")
        print(f"{name}: teacher {teacher}", flush=True)
        keras.utils.set_random_seed(1)
        student = bench.distilled(bench.quarter(), setting.quarter_epochs)
        quarter = bench.file(student, "float32")
        quarter = judged(quarter, teacher, QUARTER, 0.0)
        keras.utils.set_random_seed(1)
        student = bench.distilled(bench.hundredth(), setting.hundredth_epochs)
        hundredth = bench.file(student, "int8")
        hundredth = judged(hundredth, teacher, HUNDREDTH, POINTS)
    return {
        "setting": setting._asdict(),
        "teacher_float32": teacher,
        "quarter_float32": quarter,
        "hundredth_int8": hundredth,
        "seconds": round(time.perf_counter() - start),
    }


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--datasets", nargs="+", default=list(SETTINGS))
    given = parser.parse_args()
    tables = record.read("compression_claims").get("datasets", {})
    for name in given.datasets:
        tables[name] = measure(name)
        what = " ".join(__doc__.split("\n\n")[1].split())
        path = record.write(
            "compression_claims", {"what": what, "datasets": tables}
        )
        print(f"written: {path.name}", flush=True)


if __name__ == "__main__":
    main()
