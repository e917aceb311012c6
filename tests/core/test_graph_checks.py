"""A failed check says the same inside a graph and outside."""

import pytest
import tensorflow as tf

from keras_kd.core.graph_checks import checked
from keras_kd.core.graph_checks import marked_error


def positive(x):
    return checked(x, tf.reduce_all(x > 0), "`x` isn't positive.")


def test_outside_a_graph_it_raises_the_error_itself():
    assert float(positive(tf.constant(1.0))) == 1
    with pytest.raises(ValueError, match="`x` isn't positive"):
        positive(tf.constant(-1.0))


def test_in_a_graph_the_error_is_found_by_its_marks():
    graph = tf.function(positive)
    assert float(graph(tf.constant(1.0))) == 1
    with pytest.raises(tf.errors.InvalidArgumentError) as raised:
        graph(tf.constant(-1.0))
    found = marked_error(raised.value)
    assert isinstance(found, ValueError)
    assert str(found) == "`x` isn't positive."
    assert marked_error(KeyError("another")) is None
