"""What is searched, under which names, and what takes it out."""

import inspect

import keras
import keras_tuner
import pytest

from keras_kd.core.ranges import Range
from keras_kd.losses import METHODS
from keras_kd.losses import LogitsMSE
from keras_kd.losses import SoftTargets
from keras_kd.search.trials import space


@pytest.fixture
def hp():
    return keras_tuner.HyperParameters()


def bounds(hp, name):
    (entry,) = hp._hps[name]
    return entry.min_value, entry.max_value, entry.sampling


def test_alpha_and_width_have_the_documented_ranges(hp):
    assert (space.alpha(hp), space.width(hp)) == (0.9, 0.25)
    assert bounds(hp, "alpha") == (0.1, 1.0, "linear")
    assert bounds(hp, "width") == (0.0625, 1.0, "linear")
    assert list(hp._hps["width"][0].values) == [k / 16 for k in range(1, 17)]


def test_the_only_temperature_is_called_temperature(hp):
    (loss,) = space.losses(hp, None)
    assert loss.temperature == hp.get("temperature") == 1.0
    assert bounds(hp, "temperature") == (1.0, 16.0, "log")


def test_two_temperatures_are_called_after_their_losses(hp):
    given = [SoftTargets(2.0), SoftTargets(3.0, name="softer"), LogitsMSE()]
    hp.values = {"softer/temperature": 9.0}
    made = space.losses(hp, given)
    assert [loss.temperature for loss in made[:2]] == [2.0, 9.0]
    assert set(hp.values) == {
        "soft_targets/temperature",
        "softer/temperature",
    }


def test_the_value_given_is_the_first_and_widens_the_range(hp):
    (loss,) = space.losses(hp, SoftTargets(20.0, standardize=True))
    assert (loss.temperature, loss.standardize) == (20.0, True)
    assert bounds(hp, "temperature") == (1.0, 20.0, "log")


def test_losses_are_made_anew(hp):
    given = SoftTargets(2.0, weight=0.5)
    (made,) = space.losses(hp, given)
    assert made is not given
    assert made.get_config() == given.get_config()


def test_a_schedule_is_not_searched(hp):
    cooling = keras.optimizers.schedules.CosineDecay(8.0, 100, alpha=0.1)
    (loss,) = space.losses(hp, SoftTargets(cooling))
    assert float(loss.temperature(0)) == 8.0
    assert not hp.values


def test_a_function_declares_what_it_wants(hp):
    def losses(hp):
        return SoftTargets(hp.Choice("temperature", [3.0, 5.0]))

    hp.values = {"temperature": 5.0}
    (loss,) = space.losses(hp, losses)
    assert loss.temperature == 5.0


def test_what_the_user_fixed_wins(hp):
    hp.Fixed("alpha", 0.5)
    hp.Fixed("temperature", 2.0)
    hp.Choice("width", [0.3])
    (loss,) = space.losses(hp, "soft_targets")
    assert (space.alpha(hp), loss.temperature, space.width(hp)) == (
        0.5,
        2.0,
        0.3,
    )


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"low": 2, "high": 1}, "needs `high` to be above 2"),
        ({"low": 0, "high": 1, "log": True}, "`low` .* greater than 0"),
    ],
    ids=["high below low", "log of 0"],
)
def test_a_range_that_is_none_is_refused(arguments, text):
    with pytest.raises(ValueError, match=text):
        Range(**arguments)


@pytest.mark.parametrize("name", METHODS)
def test_ranges_name_arguments_and_hold_their_defaults(name):
    cls = METHODS[name]
    if not cls.ranges:
        return
    loss = cls() if cls.kind == "logit" else None
    for argument, range_ in cls.ranges.items():
        assert argument in inspect.signature(cls.__init__).parameters
        if loss is not None:
            value = loss.get_config()[argument]
            assert range_.low <= value <= range_.high
