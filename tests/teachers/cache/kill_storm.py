"""Builds a cache again and again, killed at random moments.

A program of its own: it forks, which a process that has run TensorFlow must
not. Prints one line of JSON.

    python kill_storm.py FOLDER [KILLS]
"""

import json
import os
import random
import shutil
import signal
import sys
import time
import traceback
from pathlib import Path

import numpy as np

from keras_kd.teachers.cache import TeacherCache
from keras_kd.teachers.cache.hashing import keys

X = np.random.default_rng(0).normal(size=(1500, 8)).astype("float32")
X = np.concatenate([X, X[::3]])  # duplicates
WEIGHTS = np.random.default_rng(1).normal(size=(8, 6)).astype("float32")


def build(folder):
    TeacherCache.build(
        folder,
        lambda x: x @ WEIGHTS,
        X,
        batch_size=32,
        shard_size=75,
        teacher_output="logits",
        teacher_id="weights",
        verbose=0,
    )


def build_in_child(folder):
    child = os.fork()
    if child:
        return child
    try:
        build(folder)
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def check(folder):
    """Open and verify what a killed builder left; return its examples."""
    try:
        cache = TeacherCache.open(folder)
    except FileNotFoundError:
        return 0
    cache.verify()
    if len(cache):
        known = cache._store.index.find(keys(X)) >= 0
        got = cache.join(X[known])["keras_kd_teacher"]["logits"]
        np.testing.assert_allclose(got, X[known] @ WEIGHTS, atol=0.02)
    assert len(cache) % 75 == 0 or cache.info()["complete"]
    return len(cache)


def content(folder):
    return {
        file.name: file.read_bytes()
        for file in sorted(folder.iterdir())
        if file.suffix != ".lock"
    }


def main(root, kills):
    rng = random.Random(0)
    whole = root / "whole"
    duration = float("inf")
    for _ in range(3):
        shutil.rmtree(whole, ignore_errors=True)
        started = time.perf_counter()
        assert os.waitpid(build_in_child(whole), 0)[1] == 0
        duration = min(duration, time.perf_counter() - started)
    wanted = content(whole)
    killed, finished, left = 0, 0, []
    while killed < kills:
        folder = root / f"killed-{finished}"
        while True:
            child = build_in_child(folder)
            time.sleep(rng.uniform(0, duration * 0.7))
            if killed < kills:
                os.kill(child, signal.SIGKILL)
            status = os.waitpid(child, 0)[1]
            if status == signal.SIGKILL:
                killed += 1
                left.append(check(folder))
                continue
            assert status == 0, "the builder failed"
            break
        check(folder)
        assert content(folder) == wanted, "other bytes than uninterrupted"
        finished += 1
    result = {"kills": killed, "caches": finished, "examples_left": left}
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 50)
