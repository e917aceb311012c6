from loss_rows import Row
from restated import soft_targets

from keras_kd.losses import SoftTargets

CONTRACT = Row(
    SoftTargets, lambda t, s, y: soft_targets(t, s, 4.0), shift_invariant=True
)
