"""The Distiller's training and test step on TensorFlow and tf.distribute."""

from typing import Any

import keras
import tensorflow as tf

from keras_kd.core.joined import unpack
from keras_kd.core.schedules import value_at
from keras_kd.core.taps import Tapped
from keras_kd.distiller import guards
from keras_kd.distiller import labels
from keras_kd.distiller import metrics
from keras_kd.distiller import step
from keras_kd.distiller.terms import pairs


class TensorFlowStep:
    """One step: teacher outside the tape, student once, one update.

    Mixed into `Distiller`, which holds the models and the settings.
    """

    def train_step(self: Any, data: Any) -> dict[str, Any]:
        """Run one batch: forward passes, loss, update, logs."""
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        x, joined = unpack(x)
        taught = self._teach(x, joined)
        checked = not self.jit_compile  # XLA drops assertions
        checks = guards.not_nan(taught[1:]) if checked else []
        if checked and y is not None and self._sparse_classes is not None:
            checks.append(
                guards.labels_in_range(
                    y, self._sparse_classes, self._ignored_label
                )
            )
        chosen = guards.after(checks, self._part(x, "student_input"))

        with tf.GradientTape() as tape:
            tapped = self._student_tap(chosen, training=True)
            task, terms = self._measure(taught, tapped, y, sample_weight)
            objective = self._objective(task, terms)
            penalty = self._penalty()
            total = objective + penalty / _num_replicas()
            scaled = self.optimizer.scale_loss(total)
        logged = (step.total_of(means) for _, means in terms)
        named = dict(zip(self._term_names, logged, strict=True))
        if task is not None:
            named["student_loss"] = task

        weights = self.trainable_weights
        gradients = tape.gradient(scaled, weights)
        if checked:
            checks = [guards.finite(n, m.value) for n, m in named.items()]
            checks.append(guards.finite("loss", total))
            if not isinstance(
                self.optimizer, keras.optimizers.LossScaleOptimizer
            ):  # which meets infinite gradients by design, and skips them
                checks.append(guards.finite_gradients(gradients))
            gradients = guards.after(checks, gradients)
            self.optimizer.apply_gradients(zip(gradients, weights, strict=True))
        else:
            # Strategies never use XLA, so a condition is allowed here.
            tf.cond(
                tf.math.is_finite(total),
                lambda: self._update(gradients, weights),
                lambda: False,
            )
        self._track(named, objective, penalty, taught, tapped)
        if y is None:
            return {
                metric.name: metric.result()
                for metric in self.metrics
                if metric is not self._compile_metrics
            }
        return self.compute_metrics(
            x, y, tapped.predictions, sample_weight=sample_weight
        )

    def test_step(self: Any, data: Any) -> dict[str, Any]:
        """Evaluate the student on one batch; no teacher, no change."""
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        x, _ = unpack(x)
        predictions = self(x, training=False)
        if self._compile_loss is not None:
            if y is None:
                raise ValueError(
                    "`evaluate` needs labels for `loss`. Received: data "
                    "without `y`. Give labels, or compile without `loss`."
                )
            task = labels.for_loss(y, predictions, sample_weight, self.loss)
            # Keras has divided it by the number of replicas.
            loss = _num_replicas() * self._compute_loss(
                x, task.y, predictions, task.sample_weight, training=False
            )
            batch = tf.cast(_batch_size(predictions), "float32")
            share = tf.math.divide_no_nan(task.count, task.total)
            self._loss_tracker.update_state(loss, sample_weight=batch * share)
        return self.compute_metrics(
            x, y, predictions, sample_weight=sample_weight
        )

    def compute_metrics(
        self: Any, x: Any, y: Any, y_pred: Any, sample_weight: Any = None
    ) -> dict[str, Any]:
        """Update the compiled metrics over the labelled examples.

        Args:
            x: Not used.
            y: Labels; -1 under a cross-entropy, or NaN, is no label.
            y_pred: The student's outputs.
            sample_weight: For the `weighted_metrics`.

        Returns:
            Every logged value by name.
        """
        if self._compile_metrics is not None and y is not None:
            metrics.update(
                self._compile_metrics,
                y,
                y_pred,
                sample_weight,
                getattr(self, "loss", None),
            )
        results: dict[str, Any] = self.get_metrics_result()
        return results

    def _measure(
        self: Any, taught: Tapped, tapped: Tapped, y: Any, sample_weight: Any
    ) -> tuple[step.Mean | None, list[tuple[Any, list[step.Mean]]]]:
        """Return the task loss and each distillation loss, unweighted."""
        iteration = tf.convert_to_tensor(self.optimizer.iterations)
        terms = []
        for loss in self.distillation_losses:
            means = [
                step.weighted_mean(
                    loss.per_position(
                        pair.teacher,
                        pair.student,
                        step.select(y, pair.key),
                        step=iteration,
                        training=True,
                    ),
                    step.mask_of(pair.masked),
                    step.weights_of(sample_weight, pair.key),
                )
                for pair in pairs(loss, taught, tapped)
            ]
            terms.append((value_at(loss.weight, iteration), means))
        task = None
        if self._compile_loss is not None and y is not None:
            known = labels.for_loss(
                y, tapped.predictions, sample_weight, self.loss
            )
            compiled = self._compile_loss(
                known.y, tapped.predictions, known.sample_weight
            )
            # Keras has divided it by the number of replicas.
            task = step.Mean(compiled * _num_replicas(), known.count)
        elif self._compile_loss is not None and self._needs_task:
            raise ValueError(
                "`Distiller` needs labels for `loss`. Received: data without "
                "`y`. Give labels, or set alpha=1.0 to learn from the "
                "teacher alone."
            )
        return task, terms

    def _objective(
        self: Any,
        task: step.Mean | None,
        terms: list[tuple[Any, list[step.Mean]]],
    ) -> Any:
        means = [mean for _, each in terms for mean in each]
        shares = _shares([task, *means])
        iteration = tf.convert_to_tensor(self.optimizer.iterations)
        alpha = value_at(self.alpha, iteration)
        weight = (
            1.0 - alpha
            if self.student_loss_weight is None
            else value_at(self.student_loss_weight, iteration)
        )
        used = task if self._needs_task else None
        return step.objective(used, terms, weight, alpha, shares)

    def _penalty(self: Any) -> Any:
        """Regularization and `add_loss` terms, the same on every replica."""
        total = tf.zeros((), "float32")
        for value in self.losses:
            total += tf.reduce_sum(tf.cast(value, "float32"))
        return total

    def _update(self: Any, gradients: Any, weights: Any) -> bool:
        self.optimizer.apply_gradients(zip(gradients, weights, strict=True))
        return True

    def _track(
        self: Any,
        named: dict[str, step.Mean],
        objective: Any,
        penalty: Any,
        taught: Tapped,
        tapped: Tapped,
    ) -> None:
        """Update the logged means, each weighted by what it is over."""
        for name, mean in named.items():
            self._trackers[name].update_state(
                mean.value, sample_weight=mean.count
            )
        batch = tf.cast(_batch_size(tapped.predictions), "float32")
        # The objective is this replica's share of the global mean.
        (share,) = _shares([step.Mean(objective, batch)])
        mean = tf.math.divide_no_nan(objective, share)
        self._loss_tracker.update_state(mean + penalty, sample_weight=batch)
        if "agreement" in self._trackers:
            teacher = keras.tree.flatten(taught.logits)
            student = keras.tree.flatten(tapped.logits)
            leaves = keras.tree.flatten(tapped.predictions)
            for t, s, leaf in zip(teacher, student, leaves, strict=True):
                mean = step.agreement(t, s, step.mask_of(leaf))
                self._trackers["agreement"].update_state(
                    mean.value, sample_weight=mean.count
                )


def _batch_size(predictions: Any) -> Any:
    return tf.shape(keras.tree.flatten(predictions)[0])[0]


def _num_replicas() -> int:
    return int(tf.distribute.get_strategy().num_replicas_in_sync)


def _shares(means: list[step.Mean | None]) -> list[Any]:
    """Return each mean's local count divided by its global count."""
    counts = tf.stack(
        [
            tf.zeros(()) if mean is None else tf.cast(mean.count, "float32")
            for mean in means
        ]
    )
    if _num_replicas() == 1:
        return [1.0] * len(means)
    context = tf.distribute.get_replica_context()
    totals = context.all_reduce(tf.distribute.ReduceOp.SUM, counts)
    return tf.unstack(tf.math.divide_no_nan(counts, totals))
