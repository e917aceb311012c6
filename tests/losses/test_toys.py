"""Losses of kinds that the package does not have, each in a few lines."""

import keras
import numpy as np
import pytest
from loss_rows import Row

import keras_kd

pytestmark = pytest.mark.eager

RNG = np.random.default_rng(0)
X = RNG.normal(size=(8, 4)).astype("float32")
LAYERS = {"teacher_layer": "hidden", "student_layer": "hidden"}


@keras.saving.register_keras_serializable("toys")
class Adapted(keras_kd.losses.DistillationLoss):
    """Squared error behind an adapter whose layers Keras builds lazily."""

    kind = "feature"
    reads = "layers"

    def __init__(self, **kwargs):
        super().__init__(**{**LAYERS, **kwargs})
        self.dense = keras.layers.Dense(6)
        self.norm = keras.layers.BatchNormalization()
        self.dropout = keras.layers.Dropout(0.5, seed=1)

    def call(self, teacher_outputs, student_outputs, labels=None):
        adapted = self.dropout(self.norm(self.dense(student_outputs)))
        # The layers compute in float32, whatever the inputs are.
        adapted = keras.ops.cast(adapted, teacher_outputs.dtype)
        gap = keras.ops.square(teacher_outputs - adapted)
        return keras.ops.mean(gap, axis=-1)


@keras.saving.register_keras_serializable("toys")
class Gap(keras_kd.losses.DistillationLoss):
    """Squared error of features, one value a position where they have any."""

    kind = "feature"
    reads = "layers"

    def call(self, teacher_outputs, student_outputs, labels=None):
        gap = keras.ops.square(teacher_outputs - student_outputs)
        return keras.ops.mean(gap, axis=-1)


class Softmax(keras_kd.losses.DistillationLoss):
    """Softmax regression: the student's features under the teacher's head."""

    reads = "both"

    def bind(self, teacher, student):
        path = self.teacher_layer
        head = teacher.model(self.name, "its classifier").get_layer("a")
        self.kernel, self.bias = (w.numpy() for w in head.weights)
        assert teacher.layer(path, self.name, "its width").units == 6

    def call(self, teacher_outputs, student_outputs, labels=None):
        under = student_outputs["layers"] @ self.kernel + self.bias
        gap = keras.ops.square(under - teacher_outputs["logits"])
        other = keras.ops.square(
            student_outputs["logits"] - teacher_outputs["logits"]
        )
        return keras.ops.mean(gap + other, axis=-1)


class Memory(keras_kd.losses.DistillationLoss):
    """Remembers the student's logits of every example."""

    needs_example_ids = True

    def bind(self, teacher, student):
        self.seen = self.add_weight(
            shape=(teacher.num_examples or 8, 3),
            initializer="zeros",
            trainable=False,
            name="seen",
        )

    def call(
        self,
        teacher_outputs,
        student_outputs,
        labels=None,
        training=None,
        example_ids=None,
    ):
        if training:
            at = keras.ops.expand_dims(example_ids, -1)
            self.seen.assign(
                keras.ops.scatter_update(self.seen, at, student_outputs)
            )
        return keras.ops.sum(teacher_outputs - student_outputs, axis=-1)


class Labelled(keras_kd.losses.DistillationLoss):
    """One for each example that has a label."""

    def call(self, teacher_outputs, student_outputs, labels=None):
        zero = keras.ops.sum(student_outputs * 0, axis=-1)
        if labels is None:
            return zero
        mask = keras_kd.losses.class_mask(labels, 3)
        return zero + keras.ops.sum(keras.ops.cast(mask, zero.dtype), axis=-1)


class Told(keras_kd.losses.DistillationLoss):
    """Keeps the training flags that its `call` was given."""

    def __init__(self):
        super().__init__()
        self.flags = set()

    def call(
        self, teacher_outputs, student_outputs, labels=None, training=None
    ):
        self.flags.add(training)
        return keras.ops.sum(teacher_outputs - student_outputs, axis=-1)


@keras.saving.register_keras_serializable("toys")
class Distances(keras_kd.losses.DistillationLoss):
    """Compares the distances of every two examples' features."""

    kind = "relation"
    reads = "layers"
    uses_batch = True

    def call(self, teacher_outputs, student_outputs, labels=None):
        def distances(features):
            gap = features[:, None] - features[None]
            return keras.ops.sum(keras.ops.square(gap), axis=-1)

        gap = distances(teacher_outputs) - distances(student_outputs)
        return keras.ops.mean(keras.ops.square(gap), axis=-1)


def squared(gap):
    return np.square(gap).mean(-1)


def adapted(teacher, student, labels, loss):
    kernel, bias = (w.numpy().astype("float64") for w in loss.dense.weights)
    # Fresh statistics: mean 0, variance 1.
    return squared(
        teacher - (student @ kernel + bias) / np.sqrt(1 + loss.norm.epsilon)
    )


def distances(teacher, student, labels):
    tables = [
        np.square(x[:, None] - x[None]).sum(-1) for x in (teacher, student)
    ]
    return squared(tables[0] - tables[1])


# The contract test runs these beside the package's own.
CONTRACT = [
    Row(
        Gap,
        lambda t, s, y: squared(t - s),
        arguments=LAYERS,
        teacher=RNG.normal(size=(6, 4, 3)),
        student=RNG.normal(size=(6, 4, 3)),
    ),
    Row(
        Adapted,
        adapted,
        teacher=RNG.normal(size=(6, 6)),
        student=RNG.normal(size=(6, 2)),
        has_minimum=False,
    ),
    Row(
        Distances,
        distances,
        arguments=LAYERS,
        teacher=RNG.normal(size=(6, 4)),
        student=RNG.normal(size=(6, 4)),
    ),
]


def model(units=6, outputs=1):
    inputs = keras.Input((4,))
    hidden = keras.layers.Dense(units, name="hidden")(inputs)
    heads = {
        name: keras.layers.Dense(3, name=name)(hidden)
        for name in ("a", "b")[:outputs]
    }
    return keras.Model(inputs, heads if outputs > 1 else heads["a"])


def distil(teacher, student, loss, **kwargs):
    distiller = keras_kd.Distiller(teacher, student, loss, alpha=1.0)
    distiller.compile(keras.optimizers.SGD(0.0), **kwargs)
    return distiller


def test_an_adapter_trains_in_fit_and_infers_elsewhere():
    teacher, loss = model(), Adapted()
    distiller = distil(teacher, model(2), loss)
    before = loss.norm.moving_mean.numpy().copy()
    distiller.fit(X, batch_size=8, epochs=1, verbose=0)
    after = loss.norm.moving_mean.numpy().copy()
    hidden = keras.Model(
        distiller.student.inputs, distiller.student.get_layer("hidden").output
    )(X)
    mean = loss.dense(hidden).numpy().astype("float64").mean(axis=0)
    assert before == pytest.approx(0.0)
    assert after == pytest.approx(0.01 * mean, abs=1e-6)
    taught = RNG.normal(size=(8, 6)).astype("float32")
    inferred = loss(taught, hidden).numpy()
    expected = np.square(taught - loss.norm(loss.dense(hidden))).mean(axis=-1)
    assert inferred == pytest.approx(expected, rel=1e-5)
    assert loss.norm.moving_mean.numpy() == pytest.approx(after)


def test_the_training_flag_reaches_call():
    loss = Told()
    distiller = distil(model(), model(2), loss)
    assert loss.flags == {False}
    distiller.fit(X, batch_size=8, verbose=0)
    assert loss.flags == {False, True}


def test_a_lazily_built_adapter_is_saved_and_trains_on(tmp_path):
    teacher, loss = model(), Adapted()
    distiller = distil(teacher, model(2), loss)
    distiller.fit(X, batch_size=8, verbose=0)
    distiller.save(tmp_path / "distiller.keras")
    again = keras.models.load_model(tmp_path / "distiller.keras")
    (loaded,) = again.distillation_losses
    for one, other in zip(loss.weights, loaded.weights, strict=True):
        assert np.array_equal(one.numpy(), other.numpy())
    again.teacher = teacher
    again.fit(X, batch_size=8, verbose=0)
    assert len(again.optimizer.variables) == len(distiller.optimizer.variables)


def test_features_take_the_mean_of_the_outputs_weights():
    teacher, student = model(outputs=2), model(outputs=2)
    loss = Gap(**LAYERS)
    distiller = distil(teacher, student, loss)
    weights = {
        "a": np.arange(8, dtype="float32"),
        "b": np.array([0, 4] * 4, "float32"),
    }
    labels = {name: np.zeros((8, 1), "float32") for name in weights}
    history = distiller.fit(X, labels, 8, sample_weight=weights, verbose=0)
    gap = [
        (X @ m.get_layer("hidden").kernel.numpy()).astype("float64")
        for m in (teacher, student)
    ]
    values = np.square(gap[0] - gap[1]).mean(axis=-1)
    exact = (values * (weights["a"] + weights["b"]) / 2).mean()
    assert history.history["gap"][0] == pytest.approx(exact, rel=1e-5)


def test_a_feature_of_padded_positions_is_masked_where_it_was_tapped():
    def tokens():
        inputs = keras.Input((4,), dtype="int32")
        hidden = keras.layers.Embedding(5, 6, mask_zero=True, name="hidden")(
            inputs
        )
        pooled = keras.layers.GlobalAveragePooling1D()(hidden)
        return keras.Model(inputs, keras.layers.Dense(3)(pooled))

    teacher, student = tokens(), tokens()
    distiller = distil(teacher, student, Gap(**LAYERS))
    x = np.array([[1, 2, 0, 0], [3, 0, 0, 0]], "int32")
    history = distiller.fit(x, verbose=0)
    tables = [
        m.get_layer("hidden").embeddings.numpy().astype("float64")
        for m in (teacher, student)
    ]
    values = np.square(tables[0] - tables[1]).mean(axis=-1)
    exact = values[[1, 2, 3]].mean()
    assert history.history["gap"][0] == pytest.approx(exact, rel=1e-5)


def test_logits_and_layers_together_under_the_teachers_classifier():
    teacher, student = model(), model()
    distiller = distil(teacher, student, Softmax(**LAYERS))
    history = distiller.fit(X, batch_size=8, verbose=0)
    logits = {}
    for name, features in (("teacher", teacher), ("student", student)):
        hidden = (
            X.astype("float64") @ features.get_layer("hidden").get_weights()[0]
        )
        logits[name] = hidden @ teacher.get_layer("a").get_weights()[0]
    own = hidden @ student.get_layer("a").get_weights()[0]
    exact = np.square(logits["student"] - logits["teacher"]) + np.square(
        own - logits["teacher"]
    )
    got = history.history["softmax"][0]
    assert got == pytest.approx(exact.mean(), rel=1e-5)


def test_a_loss_says_what_it_misses_of_a_cache(tmp_path):
    teacher = model()
    cache = keras_kd.TeacherCache.build(tmp_path, teacher, X, layers=["hidden"])
    with pytest.raises(
        ValueError, match="needs a keras.Model as the teacher, for its classif"
    ):
        keras_kd.Distiller(cache, model(2), Softmax(**LAYERS), alpha=1.0)


@pytest.mark.parametrize("source", ["numbers", "cache"])
def test_a_memory_knows_the_examples_in_any_order(source, tmp_path):
    teacher, student, loss = model(), model(), Memory()
    if source == "cache":
        teacher = keras_kd.TeacherCache.build(tmp_path, teacher, X)
        data = teacher.join(X)
    else:
        data = keras_kd.data.number_examples(X)
    distil(teacher, student, loss).fit(data, batch_size=2, epochs=1, verbose=0)
    seen = loss.seen.numpy()
    ids = data["keras_kd_teacher"]["ids"]
    assert sorted(ids) == list(range(8))
    assert seen[ids] == pytest.approx(student(X).numpy(), abs=1e-6)


def test_data_without_ids_is_refused():
    with pytest.raises(ValueError, match="which example is which"):
        distil(model(), model(), Memory()).fit(X, verbose=0)


@pytest.mark.parametrize("batched", [True, False])
def test_a_dataset_is_numbered_before_it_is_shuffled(batched):
    import tensorflow as tf

    data = tf.data.Dataset.from_tensor_slices((X, np.arange(8)))
    data = data.batch(3) if batched else data
    numbered = keras_kd.data.number_examples(data, batched=batched)
    if batched:
        numbered = numbered.unbatch()
    for x, y in numbered.shuffle(8):
        assert int(x["keras_kd_teacher"]["ids"]) == int(y)


@pytest.mark.parametrize(
    "y", [[0, 1, -1, 2], [[0.0], [2.0], [np.nan], [1.0]], "one hot"]
)
def test_labels_come_in_one_form(y):
    if y == "one hot":
        y = np.eye(3, dtype="float32")[[0, 1, 1, 2]]
        y[2] = -1
    distiller = distil(model(), model(2), Labelled())
    history = distiller.fit(X[:4], np.array(y), verbose=0)
    assert history.history["labelled"][0] == pytest.approx(3 / 4)


def test_normal_labels_and_masks_equal_numpy():
    logits = np.zeros((4, 3))
    expected = np.array([2, -1, 0, 1])
    forms = [
        expected,
        expected[:, None].astype("int64"),
        np.array([2.0, np.nan, 0.0, 1.0]),
        np.array([2, 7, 0, 1], "uint8"),
    ]
    for form in forms:
        ignored = 7 if form.dtype == "uint8" else None
        got = keras_kd.losses.normal_labels(form, logits, ignored)
        assert got.numpy().tolist() == expected.tolist()
    soft = np.array([[0.2, 0.7, 0.1], [np.nan, 0, 0], [1, 0, 0], [-1, -1, -1]])
    got = keras_kd.losses.normal_labels(soft, logits)
    assert got.numpy()[[0, 2]] == pytest.approx(soft[[0, 2]])
    assert (got.numpy()[[1, 3]] == -1).all()
    mask = keras_kd.losses.class_mask(got, 3).numpy()
    assert mask.tolist() == [
        [False, True, False],
        [False] * 3,
        [True, False, False],
        [False] * 3,
    ]
    one_unit = keras_kd.losses.normal_labels(
        np.array([0.3, -1.0]), np.zeros((2, 2))
    )
    assert one_unit.numpy()[0] == pytest.approx([0.7, 0.3])
    assert one_unit.numpy()[1].tolist() == [-1, -1]


def test_layers_are_refused_by_a_loss_that_reads_logits():
    with pytest.raises(ValueError, match="needs no layers, because it reads"):
        keras_kd.losses.SoftTargets(**LAYERS)
    with pytest.raises(ValueError, match="needs `teacher_layer` and"):
        distil(model(), model(), Gap())
    with pytest.raises(ValueError, match="`gather` to be False"):
        keras_kd.losses.SoftTargets(gather=True)
