from loss_rows import Row
from restated import hard_labels

from keras_kd.losses import HardLabels

CONTRACT = Row(
    HardLabels,
    lambda t, s, y: hard_labels(t, s),
    shift_invariant=True,
    has_minimum=False,  # it is at infinite logits
)
