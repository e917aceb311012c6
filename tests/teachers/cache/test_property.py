"""Whatever the data and its order: every output belongs to its example."""

import tempfile

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

import keras_kd

CASES = st.fixed_dictionaries(
    {
        # Few different values: many duplicates.
        "rows": st.lists(
            st.tuples(st.integers(0, 3), st.integers(0, 3)),
            min_size=1,
            max_size=40,
        ),
        "dtype": st.sampled_from(["float32", "uint8", "int64"]),
        "stored": st.sampled_from(["float32", "float16"]),
        "top_k": st.sampled_from([None, 2]),
        "build_batch": st.integers(1, 9),
        "join_batch": st.integers(1, 9),
        "shard_size": st.integers(1, 12),
        "parts": st.integers(1, 3),
        "first_part_only": st.floats(0, 1),
        "seed": st.integers(0, 9),
    }
)


def run(case, join):
    x = np.array(case["rows"], case["dtype"])

    def teacher(batch):
        assert 1 <= len(batch) <= case["build_batch"]
        code = batch[:, 0].astype("float32") * 4 + batch[:, 1]
        return np.stack([code, -code, code / 2], -1)

    def build(data):
        for part in range(case["parts"]):
            cache = keras_kd.TeacherCache.build(
                folder,
                teacher,
                data,
                top_k=case["top_k"],
                dtype=case["stored"],
                batch_size=case["build_batch"],
                shard_size=case["shard_size"],
                shard=(part, case["parts"]),
                teacher_output="logits",
                teacher_id="code",
                verbose=0,
            )
        return cache

    with tempfile.TemporaryDirectory() as folder:
        some = x[: int(case["first_part_only"] * len(x))]
        if len(some):
            build(some)
        cache = build(x)
        cache.verify()
        assert len(cache) == len(np.unique(x, axis=0))
        order = np.random.default_rng(case["seed"]).permutation(len(x))
        for inputs, logits in join(cache, x[order], case["join_batch"]):
            code = inputs[:, 0].astype("float32") * 4 + inputs[:, 1]
            wanted = np.stack([code, -code, code / 2], -1)
            logits = np.array(logits.dense() if case["top_k"] else logits)
            if case["top_k"]:  # the largest and their difference are kept
                wanted = np.sort(wanted, -1)[:, 1:]
                logits = np.sort(logits, -1)[:, 1:]
                wanted = wanted[:, 1] - wanted[:, 0]
                logits = logits[:, 1] - logits[:, 0]
            np.testing.assert_allclose(logits, wanted, atol=0.02)


def through_arrays(cache, x, size):
    joined = cache.join((x, np.zeros(len(x))))[0]
    yield joined["inputs"], joined["keras_kd_teacher"]["logits"]


def through_pipeline(cache, x, size):
    data = tf.data.Dataset.from_tensor_slices(x).batch(size)
    for batch in cache.join(data):
        yield batch["inputs"].numpy(), batch["keras_kd_teacher"]["logits"]


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(CASES)
def test_arrays(case):
    run(case, through_arrays)


@settings(max_examples=10, deadline=None)
@given(CASES)
def test_pipelines(case):
    run(case, through_pipeline)
