"""The pairs of `peers.py`, each in Keras and, the same network, in PyTorch.

The networks are small enough for two cores: `resnet` is ResNet-32x4 and
ResNet-8x4 narrowed to ResNet-14x2 and ResNet-8x1 on 32x32 pixels, `text` a
BERT-Tiny and one of a quarter of its width on 32 tokens, the longest text of
clinc_oos.
"""

from collections.abc import Callable
from typing import Any
from typing import NamedTuple

import numpy as np

CLASSES, FEATURES, SIDE, LENGTH, WORDS = 10, 64, 32, 32, 5000


class Pair(NamedTuple):
    """A teacher, a student, and data.

    Attributes:
        keras: Makes teacher and student in Keras.
        torch: Makes them in PyTorch.
        shape: Shape of an example.
        batch: Examples a batch.
        steps: Batches an epoch.
    """

    keras: Callable[[], tuple[Any, Any]]
    torch: Callable[[], tuple[Any, Any]]
    shape: tuple[int, ...]
    batch: int
    steps: int

    def data(self) -> tuple[np.ndarray, np.ndarray]:
        """Random examples, channels last or token ids, and their labels."""
        rng = np.random.default_rng(0)
        shape = (self.batch * self.steps, *self.shape)
        if self.shape == (LENGTH,):
            x = rng.integers(1, WORDS, shape, "int32")
        else:
            x = rng.random(shape, "float32")
        return x, rng.integers(0, CLASSES, len(x))


def _keras_mlp() -> tuple[Any, Any]:
    import keras_kd

    return tuple(
        keras_kd.students.mlp((FEATURES,), CLASSES, hidden=hidden)
        for hidden in ((512, 512), (64,))
    )


def _keras_resnet() -> tuple[Any, Any]:
    import keras_kd

    return tuple(
        keras_kd.students.resnet((SIDE, SIDE, 3), CLASSES, width, depth)
        for width, depth in ((2, 14), (1, 8))
    )


def _keras_text() -> tuple[Any, Any]:
    import keras_kd

    return tuple(
        keras_kd.students.text_transformer((LENGTH,), CLASSES, width, WORDS)
        for width in (1.0, 0.25)
    )


def _torch_mlp() -> tuple[Any, Any]:
    from torch import nn

    def mlp(*sizes: int) -> nn.Module:
        layers: list[nn.Module] = []
        for before, after in zip((FEATURES, *sizes), sizes, strict=False):
            layers += [nn.Linear(before, after), nn.ReLU()]
        return nn.Sequential(*layers, nn.Linear(sizes[-1], CLASSES))

    return mlp(512, 512), mlp(64)


def _torch_resnet() -> tuple[Any, Any]:
    from torch import nn

    def conv(a: int, b: int, size: int, stride: int = 1) -> nn.Sequential:
        return nn.Sequential(
            nn.Conv2d(a, b, size, stride, size // 2, bias=False),
            nn.BatchNorm2d(b),
        )

    class Block(nn.Module):
        def __init__(self, a: int, b: int, stride: int) -> None:
            super().__init__()
            same = stride == 1 and a == b
            self.shortcut = nn.Identity() if same else conv(a, b, 1, stride)
            self.main = nn.Sequential(
                conv(a, b, 3, stride), nn.ReLU(), conv(b, b, 3)
            )

        def forward(self, x: Any) -> Any:
            return (self.main(x) + self.shortcut(x)).relu()

    def resnet(width: int, depth: int) -> nn.Module:
        layers: list[nn.Module] = [conv(3, 16, 3), nn.ReLU()]
        before = 16
        for stage in range(3):
            after = 16 * width * 2**stage
            for block in range((depth - 2) // 6):
                stride = 2 if stage and not block else 1
                layers.append(Block(before, after, stride))
                before = after
        layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        return nn.Sequential(*layers, nn.Linear(before, CLASSES))

    return resnet(2, 14), resnet(1, 8)


def _torch_text() -> tuple[Any, Any]:
    import torch
    from torch import nn
    from torch.nn import functional

    class Block(nn.Module):
        def __init__(self, units: int) -> None:
            super().__init__()
            self.qkv = nn.Linear(units, 3 * units)
            self.attended = nn.Linear(units, units)
            self.hidden = nn.Linear(units, 4 * units)
            self.output = nn.Linear(4 * units, units)
            self.norms = nn.ModuleList(nn.LayerNorm(units) for _ in "ab")
            self.dropout = nn.Dropout(0.1)

        def forward(self, x: Any, mask: Any) -> Any:
            batch, length, units = x.shape
            q, k, v = self.qkv(x).view(batch, length, 3, 2, -1).unbind(2)
            y = functional.scaled_dot_product_attention(
                *(each.transpose(1, 2) for each in (q, k, v)),
                attn_mask=mask,
                dropout_p=0.1 if self.training else 0.0,
            )
            y = y.transpose(1, 2).reshape(batch, length, units)
            x = self.norms[0](x + self.dropout(self.attended(y)))
            y = self.output(self.hidden(x).relu())
            return self.norms[1](x + self.dropout(y))

    class Transformer(nn.Module):
        def __init__(self, units: int) -> None:
            super().__init__()
            self.tokens = nn.Embedding(WORDS, units)
            self.positions = nn.Embedding(LENGTH, units)
            self.norm = nn.LayerNorm(units)
            self.blocks = nn.ModuleList(Block(units) for _ in range(2))
            self.pool = nn.Linear(units, units)
            self.logits = nn.Linear(units, CLASSES)
            self.dropout = nn.Dropout(0.1)

        def forward(self, ids: Any) -> Any:
            real = ids != 0
            places = torch.arange(LENGTH)
            x = self.norm(self.tokens(ids) + self.positions(places))
            x = self.dropout(x)
            for block in self.blocks:
                x = block(x, real[:, None, None])
            x = self.pool(x).relu() * real[..., None]
            return self.logits(self.dropout(x.amax(1)))

    return Transformer(128), Transformer(32)


PAIRS = {
    "mlp": Pair(_keras_mlp, _torch_mlp, (FEATURES,), 64, 100),
    "resnet": Pair(_keras_resnet, _torch_resnet, (SIDE, SIDE, 3), 32, 12),
    "text": Pair(_keras_text, _torch_text, (LENGTH,), 32, 20),
}
