import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from keras_kd.evaluation.classification_metrics import Tally

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(40, 7), scale=3)
TEACHER = RNG.normal(size=(40, 7), scale=3)
LABELS = RNG.integers(0, 7, 40)
WEIGHTS = RNG.uniform(0, 2, 40)


def _softmax(row):
    weights = [float(np.exp(value)) for value in row]
    return [weight / sum(weights) for weight in weights]


def _reference(logits, labels, weights, teacher):
    """Every metric by its definition, an example at a time."""
    total = correct = top5 = nll = agree = kl = 0.0
    bins = [[0.0, 0.0] for _ in range(15)]
    hits, support = [0.0] * 7, [0.0] * 7
    for row, label, w, guide in zip(
        logits, labels, weights, teacher, strict=True
    ):
        q, p = _softmax(row), _softmax(guide)
        order = sorted(range(7), key=lambda c: -q[c])
        hit = float(order[0] == label)
        total += w
        correct += w * hit
        top5 += w * (label in order[:5])
        nll -= w * np.log(q[label])
        agree += w * (order[0] == int(np.argmax(p)))
        kl += w * sum(a * np.log(a / b) for a, b in zip(p, q, strict=True))
        for m in range(15):
            if m / 15 < max(q) <= (m + 1) / 15:
                bins[m][0] += w * hit
                bins[m][1] += w * max(q)
        hits[label] += w * hit
        support[label] += w
    return {
        "accuracy": correct / total,
        "top5_accuracy": top5 / total,
        "nll": nll / total,
        "calibration_error": sum(abs(a - c) for a, c in bins) / total,
        "agreement": agree / total,
        "teacher_kl": kl / total,
        "per_class_recall": [h / s for h, s in zip(hits, support, strict=True)],
        "mean_iou": None,
    }


def _same(got, expected):
    assert got.keys() == expected.keys()
    for name, value in expected.items():
        close = value if value is None else pytest.approx(value, rel=1e-9)
        assert got[name] == close, name


def _tally(*parts, step=40):
    tally = Tally()
    for at in range(0, len(parts[0]), step):
        rows = slice(at, at + step)
        tally.update(*(None if p is None else p[rows] for p in parts))
    return tally.result()


@pytest.mark.parametrize("step", [40, 7, 1])
@pytest.mark.parametrize("weights", [WEIGHTS, np.ones(40)], ids=["w", "ones"])
def test_metrics_match_their_definitions(step, weights):
    got = _tally(LOGITS, LABELS, weights, TEACHER, step=step)
    _same(got, _reference(LOGITS, LABELS, weights, TEACHER))


def test_weight_two_is_the_example_twice():
    weights = np.where(np.arange(40) < 10, 2.0, 1.0)
    rows = np.r_[np.arange(40), np.arange(10)]
    _same(
        _tally(LOGITS, LABELS, weights, TEACHER),
        _tally(LOGITS[rows], LABELS[rows], None, TEACHER[rows]),
    )


def test_known_values():
    sure = np.array([[100.0, 0.0], [100.0, 0.0], [0.0, 100.0], [0.0, 100.0]])
    got = _tally(sure, np.array([0, 1, 1, 0]), None, np.zeros((4, 2)))
    assert got["accuracy"] == 0.5
    assert got["calibration_error"] == pytest.approx(0.5)
    assert got["nll"] == pytest.approx(50.0)
    # KL((1/2, 1/2) to (1, e^-100)) = -log 2 + 100 / 2.
    assert got["teacher_kl"] == pytest.approx(50 - np.log(2))
    assert got["per_class_recall"] == [0.5, 0.5]
    assert got["top5_accuracy"] is None
    assert got["agreement"] == 0.5


def test_what_is_missing_is_none():
    got = _tally(LOGITS, None, None, TEACHER)
    assert got["accuracy"] is got["nll"] is got["per_class_recall"] is None
    assert 0 <= got["agreement"] <= 1
    got = _tally(LOGITS, LABELS, None, None)
    assert got["agreement"] is got["teacher_kl"] is None
    absent = _tally(LOGITS, np.zeros(40, int), None, None)
    assert absent["per_class_recall"][1:] == [None] * 6


def test_one_hot_column_and_float_labels_are_class_numbers():
    expected = _tally(LOGITS, LABELS, WEIGHTS, None)
    for labels in (np.eye(7)[LABELS], LABELS[:, None], LABELS.astype("f4")):
        _same(_tally(LOGITS, labels, WEIGHTS, None), expected)


def test_sequences_count_each_position():
    shaped = LOGITS.reshape(8, 5, 7), LABELS.reshape(8, 5)
    teacher = TEACHER.reshape(8, 5, 7)
    got = _tally(*shaped, WEIGHTS.reshape(8, 5), teacher, step=3)
    assert got.pop("mean_iou") > 0
    expected = _tally(LOGITS, LABELS, WEIGHTS, TEACHER)
    assert expected.pop("mean_iou") is None
    _same(got, expected)
    per_example = np.arange(8.0)
    got = _tally(*shaped, per_example, teacher)
    repeated = np.repeat(per_example, 5)
    _same(
        got,
        _tally(LOGITS, LABELS, repeated, TEACHER)
        | {"mean_iou": got["mean_iou"]},
    )


def test_padding_of_weight_zero_may_have_any_label_and_masked_classes_count():
    labels = np.where(np.arange(40) < 5, -1, LABELS)
    weights = (labels >= 0).astype(float)
    got = _tally(LOGITS, labels, weights, TEACHER)
    rows = slice(5, None)
    expected = _tally(LOGITS[rows], LABELS[rows], None, TEACHER[rows])
    _same(got, expected)
    masked = np.concatenate([LOGITS, np.full((40, 1), -np.inf)], -1)
    guide = np.concatenate([TEACHER, np.full((40, 1), -np.inf)], -1)
    got = _tally(masked, LABELS, None, guide)
    assert got["teacher_kl"] == pytest.approx(
        _tally(LOGITS, LABELS, None, TEACHER)["teacher_kl"]
    )


@settings(max_examples=30, deadline=None)
@given(st.floats(-1e4, 1e4), st.integers(0, 6))
def test_metrics_are_finite_and_shift_invariant(shift, label):
    row = LOGITS[:1] + shift
    got = _tally(row, np.array([label]), None, TEACHER[:1])
    plain = _tally(LOGITS[:1], np.array([label]), None, TEACHER[:1])
    assert got["nll"] == pytest.approx(plain["nll"], rel=1e-9)
    assert got["teacher_kl"] == pytest.approx(plain["teacher_kl"], rel=1e-9)


@pytest.mark.parametrize(
    ("parts", "match"),
    [
        pytest.param(
            (LOGITS, LABELS + 1),
            "labels that are class numbers from 0 to 6.*Received: dataset=7",
            id="label-high",
        ),
        pytest.param((LOGITS, LABELS - 2), "dataset=-2", id="label-low"),
        pytest.param((LOGITS, LABELS + 0.5), "class numbers", id="fraction"),
        pytest.param(
            (LOGITS, np.zeros((40, 6))),
            r"shape \(40,\) or \(40, 7\)",
            id="rows",
        ),
        pytest.param(
            (LOGITS, None, None, TEACHER[:, :5]),
            r"7 classes in shape \(40, 7\). Received: teacher=\(40, 5\)",
            id="teacher-classes",
        ),
        pytest.param((LOGITS[:, :1],), "two classes or more", id="one-class"),
        pytest.param(
            (LOGITS * np.nan,), "`model` to be a model with", id="nan"
        ),
        pytest.param(
            (LOGITS, LABELS, None, TEACHER + np.inf), "`teacher`", id="inf"
        ),
        pytest.param(
            (LOGITS, LABELS, np.zeros(40)), "above 0 somewhere", id="no-weight"
        ),
        pytest.param(
            (LOGITS, LABELS, -np.ones(40)), "at least 0", id="negative"
        ),
        pytest.param(
            (LOGITS, LABELS, np.ones((40, 2))), r"shape \(40,\)", id="w-shape"
        ),
    ],
)
def test_bad_batches(parts, match):
    with pytest.raises(ValueError, match=match):
        _tally(*parts)


def test_batches_must_agree():
    tally = Tally()
    tally.update(LOGITS, LABELS)
    with pytest.raises(ValueError, match="labelled in every batch"):
        tally.update(LOGITS)
    with pytest.raises(ValueError, match=r"of 7 classes\. Received: model=5"):
        tally.update(LOGITS[:, :5], LABELS)
