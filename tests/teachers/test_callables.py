"""Python functions as teachers."""

import keras
import numpy as np
import pytest
from keras import layers
from restated import log_softmax
from restated import soft_targets

import keras_kd
from keras_kd.teachers import HostTeacher

RNG = np.random.default_rng(0)
X = RNG.normal(size=(16, 6)).astype("float32")
KERNEL = RNG.normal(size=(6, 3)).astype("float32")


def student_of(units=3):
    return keras.Sequential([keras.Input((6,)), layers.Dense(units)])


def distilled(teacher, student, x=X, **settings):
    distiller = keras_kd.Distiller(teacher, student, alpha=1.0)
    distiller.compile(keras.optimizers.SGD(0.0), **settings)
    logs = distiller.fit(x, batch_size=8, shuffle=False, verbose=0).history
    return logs["soft_targets"][0]


@pytest.mark.parametrize("mode", [{}, {"run_eagerly": True}], ids=str)
def test_a_function_of_logits(mode):
    sizes = []

    def function(x):
        sizes.append(len(x))
        return x @ KERNEL

    student = student_of()
    value = distilled(
        HostTeacher(function, 3, output="logits"), student, **mode
    )
    exact = soft_targets(X @ KERNEL, student(X).numpy()).mean()
    assert value == pytest.approx(exact, rel=1e-5)
    assert sizes == [8, 8]


def test_probabilities_and_binary_outputs():
    student = student_of()

    def softmax(x):
        return np.exp(log_softmax(x @ KERNEL)).tolist()

    teacher = HostTeacher(softmax, 3, output="probabilities")
    exact = soft_targets(X @ KERNEL, student(X).numpy()).mean()
    assert distilled(teacher, student) == pytest.approx(exact, rel=1e-4)

    student = student_of(1)
    z = X @ KERNEL[:, :1]
    logits = [np.concatenate([0 * v, v], -1) for v in (z, student(X).numpy())]
    for output, function in {
        "binary_logits": lambda x: (x @ KERNEL[:, :1])[:, 0],
        "binary_probabilities": lambda x: 1 / (1 + np.exp(-x @ KERNEL[:, :1])),
    }.items():
        teacher = HostTeacher(function, 2, output=output)
        assert distilled(teacher, student) == pytest.approx(
            soft_targets(*logits).mean(), rel=1e-3
        )


def test_called_on_a_batch():
    teacher = HostTeacher(lambda x: x @ KERNEL, 3, output="logits")
    np.testing.assert_allclose(teacher(X), X @ KERNEL, rtol=1e-6)
    teacher = HostTeacher(
        lambda x: x @ KERNEL, 3, output="logits", input="right"
    )
    np.testing.assert_allclose(teacher({"right": X, "left": 0 * X}), X @ KERNEL)
    teacher = HostTeacher(
        lambda x: x @ KERNEL, 3, output="logits", input=lambda x: 2 * x
    )
    np.testing.assert_allclose(teacher(X), 2 * X @ KERNEL, rtol=1e-6)


def test_positions():
    def function(x):
        return np.stack([x @ KERNEL, -x @ KERNEL], axis=1)

    student = keras.Sequential(
        [keras.Input((6,)), layers.Dense(6), layers.Reshape((2, 3))]
    )
    teacher = HostTeacher(function, (2, 3), output="logits")
    exact = soft_targets(function(X), student(X).numpy()).mean()
    distiller = keras_kd.Distiller(
        teacher, student, alpha=1.0, student_output="logits"
    )
    distiller.compile(keras.optimizers.SGD(0.0))
    logs = distiller.fit(X, batch_size=16, verbose=0).history
    assert logs["soft_targets"][0] == pytest.approx(exact, rel=1e-5)


def test_the_functions_own_error_reaches_the_user():
    class UnreachableError(Exception):
        pass

    def function(x):
        raise UnreachableError("no route to the service")

    student = student_of()
    before = student.get_weights()
    with pytest.raises(UnreachableError, match="no route"):
        distilled(HostTeacher(function, 3, output="logits"), student)
    for old, new in zip(before, student.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_another_shape_than_told():
    teacher = HostTeacher(lambda x: x, 3, output="logits")
    with pytest.raises(ValueError, match=r"shape \(8, 3\).*shape \(8, 6\)"):
        distilled(teacher, student_of())


def test_xla_is_refused():
    teacher = HostTeacher(lambda x: x @ KERNEL, 3, output="logits")
    distiller = keras_kd.Distiller(teacher, student_of(), alpha=1.0)
    with pytest.raises(ValueError, match="`jit_compile` to be False"):
        distiller.compile("sgd", jit_compile=True)
    distiller.compile("sgd")
    assert not distiller.jit_compile
    late = keras_kd.Distiller(None, student_of(), alpha=1.0)
    late.compile("sgd", jit_compile=True)
    late.teacher = teacher
    with pytest.raises(ValueError, match="`jit_compile` to be False"):
        late.fit(X, verbose=0)


def test_bad_arguments():
    with pytest.raises(TypeError, match="`function` to be callable"):
        HostTeacher(3, 3, output="logits")
    with pytest.raises(ValueError, match=r"Did you mean 'logits'\?"):
        HostTeacher(len, 3, output="logit")
    with pytest.raises(ValueError, match="integer of at least 2"):
        HostTeacher(len, 1, output="logits")
    with pytest.raises(ValueError, match="2 when `output`"):
        HostTeacher(len, 3, output="binary_logits")
    with pytest.raises(TypeError, match="`input` to be a function"):
        HostTeacher(len, 3, output="logits", input=3)
    teacher = HostTeacher(len, 3, output="logits")
    with pytest.raises(TypeError, match=r"`features\['a'\]` to be an integer"):
        HostTeacher(len, 3, output="logits", features={"a": (None, 3)})
    with pytest.raises(ValueError, match="as the HostTeacher was told"):
        teacher.bind([], "probabilities")
    with pytest.raises(ValueError, match="same classes"):
        keras_kd.Distiller(teacher, student_of(4))


def test_a_function_of_numbers():
    teacher = HostTeacher(lambda x: 2 * x[:, :1], 1, output="numbers")
    assert teacher.output_kind == "numbers"
    x = np.arange(12.0, dtype="float32").reshape(4, 3)
    np.testing.assert_array_equal(teacher(x), 2 * x[:, :1])
    student = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    distiller = keras_kd.Distiller(teacher, student, alpha=1.0)
    distiller.compile(keras.optimizers.SGD(0.0), run_eagerly=True)
    logs = distiller.fit(x, verbose=0).history
    gap = 2 * x[:, :1] - np.asarray(student(x))
    assert logs["logits_mse"][0] == pytest.approx((gap**2).mean(), rel=1e-5)


def named(x):
    return {"logits": x @ KERNEL, "block_3": x[:, :2] + 1, "other": x}


FEATURES = {"block_3": (2,), "block_4": (2,)}


@pytest.mark.parametrize(
    "how", ["live", pytest.param("traced", marks=pytest.mark.slow), "cache"]
)
def test_a_function_gives_features(how, tmp_path):
    student = keras.Sequential(
        [keras.Input((6,)), layers.Dense(2, name="hidden"), layers.Dense(3)]
    )
    hint = keras_kd.losses.Hint(teacher_layer="block_3", student_layer="hidden")
    teacher = HostTeacher(named, 3, output="logits", features=FEATURES)
    x = X
    if how == "cache":
        found = [
            keras_kd.TeacherCache.build(
                tmp_path / str(number),
                given,
                X,
                layers=["block_3"],
                dtype="float32",
                verbose=0,
                **told,
            )
            for number, (given, told) in enumerate(
                [
                    (teacher, {"teacher_id": "host"}),
                    (named, {"teacher_id": "f", "teacher_output": "logits"}),
                ]
            )
        ]
        joined = [cache.join(X)["keras_kd_teacher"] for cache in found]
        for name in ("logits", "features"):
            leaves = [keras.tree.flatten(each[name]) for each in joined]
            for one, other in zip(*leaves, strict=True):
                np.testing.assert_array_equal(one, other)
        teacher, x = found[1], found[1].join(X)
    losses = [keras_kd.losses.SoftTargets(1.0), hint]
    distiller = keras_kd.Distiller(teacher, student, losses, alpha=1.0)
    distiller.compile(keras.optimizers.SGD(0.0), run_eagerly=how != "traced")
    logs = distiller.fit(x, batch_size=16, verbose=0).history
    hidden = student.layers[0](X).numpy().astype("float64")
    exact = ((X[:, :2] + 1 - hidden) ** 2).mean()
    assert logs["hint"][0] == pytest.approx(exact, rel=1e-5)
    exact = soft_targets(X @ KERNEL, student(X).numpy()).mean()
    assert logs["soft_targets"][0] == pytest.approx(exact, rel=1e-4)


def test_features_that_are_not_there(tmp_path):
    teacher = HostTeacher(named, 3, output="logits", features=FEATURES)
    np.testing.assert_allclose(teacher(X), X @ KERNEL)
    with pytest.raises(
        ValueError, match=r"\['block_3', 'block_4'\].*'block_2'.*mean 'block_"
    ):
        teacher.bind(["block_2"])
    with pytest.raises(
        ValueError, match=r"with 'block_4'. Received: a dict of \['logits', 'b"
    ):
        teacher.run(X, ["block_4"])
    wrong = HostTeacher(named, 3, output="logits", features={"other": (5,)})
    with pytest.raises(ValueError, match=r"'other' of shape \(16, 5\).*16, 6"):
        wrong.run(X, ["other"])
    alone = HostTeacher(lambda x: x @ KERNEL, 3, output="logits")
    alone.features = FEATURES
    with pytest.raises(ValueError, match="with 'logits'. Received: a ndarray"):
        alone.run(X, ["block_3"])
    with pytest.raises(ValueError, match="build`.*'block_4'.*mean 'block_3'"):
        keras_kd.TeacherCache.build(
            tmp_path,
            named,
            X,
            layers=["block_4"],
            teacher_output="logits",
            teacher_id="f",
            verbose=0,
        )


@pytest.mark.parametrize(
    "call", [distilled, lambda f, _: f(X)], ids=["fit", "call"]
)
@pytest.mark.parametrize("units", [1, 3])
def test_logits_said_to_be_probabilities_are_refused(call, units):
    kind = "probabilities" if units == 3 else "binary_probabilities"
    teacher = HostTeacher(
        lambda x: x @ KERNEL[:, :units], max(units, 2), output=kind
    )
    match = rf"`HostTeacher` needs `output`.*={kind!r}.*Use '(binary_)?logits'"
    with pytest.raises(ValueError, match=match):
        call(teacher, student_of(units))
