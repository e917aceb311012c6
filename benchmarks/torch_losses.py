"""The losses as a plain PyTorch program has them, one function a method.

Each takes the teacher's and the student's outputs (logits, maps with channels
first, or vectors), the labels, and the loss's own weights, and returns the
mean over the batch with the defaults of `keras_kd.losses`.
"""

import torch
from torch import Tensor
from torch.nn import functional


def soft_targets(t: Tensor, s: Tensor, y: Tensor, w: list) -> Tensor:
    """Hinton et al. 2015."""
    return 16 * functional.kl_div(
        functional.log_softmax(s / 4, -1),
        functional.softmax(t / 4, -1),
        reduction="batchmean",
    )


def hard_labels(t: Tensor, s: Tensor, y: Tensor, w: list) -> Tensor:
    """Cross-entropy with the teacher's decision."""
    return functional.cross_entropy(s, t.argmax(-1))


def logits_mse(t: Tensor, s: Tensor, y: Tensor, w: list) -> Tensor:
    """Squared error of the logits."""
    return functional.mse_loss(s, t)


def decoupled_kd(t: Tensor, s: Tensor, y: Tensor, w: list) -> Tensor:
    """Zhao et al. 2022."""
    target = functional.one_hot(y, t.shape[-1]).bool()
    pairs, others = [], []
    for logits in (t / 4, s / 4):
        chosen = logits[target][:, None]
        rest = logits[~target].reshape(len(logits), -1)
        both = torch.cat([chosen, rest.logsumexp(-1, keepdim=True)], -1)
        pairs.append(both.log_softmax(-1))
        others.append(rest.log_softmax(-1))

    def divergence(teacher: Tensor, student: Tensor) -> Tensor:
        return functional.kl_div(
            student, teacher, reduction="batchmean", log_target=True
        )

    return 16 * (divergence(*pairs) + 8 * divergence(*others))


def dist(t: Tensor, s: Tensor, y: Tensor, w: list) -> Tensor:
    """Huang et al. 2022."""
    t, s = t.softmax(-1), s.softmax(-1)

    def apart(a: Tensor, b: Tensor) -> Tensor:
        a = a - a.mean(-1, keepdim=True)
        b = b - b.mean(-1, keepdim=True)
        norms = a.norm(dim=-1) * b.norm(dim=-1)
        return 1 - ((a * b).sum(-1) / (norms + 1e-8)).mean()

    return apart(t, s) + apart(t.T, s.T)


def transformed_teacher_matching(
    t: Tensor, s: Tensor, y: Tensor, w: list
) -> Tensor:
    """Zheng and Yang 2024, weighted."""
    powers = t.softmax(-1) ** 0.1
    totals = powers.sum(-1, keepdim=True)
    target = powers / totals
    gaps = functional.kl_div(s.log_softmax(-1), target, reduction="none")
    return (totals[:, 0] * gaps.sum(-1)).mean()


def jensen_shannon(t: Tensor, s: Tensor, y: Tensor, w: list) -> Tensor:
    """Agarwal et al. 2024, beta 0.5."""
    t, s = t.log_softmax(-1), s.log_softmax(-1)
    middle = torch.logaddexp(t, s) - torch.log(torch.tensor(2.0))
    both = functional.kl_div(middle, t, reduction="batchmean", log_target=True)
    both = both + functional.kl_div(
        middle, s, reduction="batchmean", log_target=True
    )
    return 0.5 * both


def streamlined_kd(t: Tensor, s: Tensor, y: Tensor, w: list) -> Tensor:
    """Jeong et al. 2026."""
    units = functional.normalize(t), functional.normalize(s)
    gap = units[1] @ units[1].T - units[0] @ units[0].T
    spread = torch.cov(gap.T) + 0.1 * torch.eye(len(gap))
    solved = torch.cholesky_solve(gap.T, torch.linalg.cholesky(spread))
    squares = (gap * solved.T).sum(-1)
    return soft_targets(t, s, y, w) + squares.clamp(min=1e-12).sqrt().mean()


def hint(t: Tensor, s: Tensor, y: Tensor, w: list) -> Tensor:
    """Romero et al. 2015."""
    return functional.mse_loss(s, t)


def attention_transfer(t: Tensor, s: Tensor, y: Tensor, w: list) -> Tensor:
    """Zagoruyko and Komodakis 2017."""
    maps = [functional.normalize(x.pow(2).mean(1).flatten(1)) for x in (t, s)]
    return functional.mse_loss(maps[1], maps[0])


def channel_wise(t: Tensor, s: Tensor, y: Tensor, w: list) -> Tensor:
    """Shu et al. 2021, temperature 1."""
    t, s = t.flatten(2), s.flatten(2)
    gaps = functional.kl_div(s.log_softmax(-1), t.softmax(-1), reduction="sum")
    return gaps / (t.shape[0] * t.shape[1])


def neuron_selectivity(t: Tensor, s: Tensor, y: Tensor, w: list) -> Tensor:
    """Huang and Wang 2017, squared dot products."""
    t, s = (functional.normalize(x.flatten(2), dim=-1) for x in (t, s))

    def kernel(a: Tensor, b: Tensor) -> Tensor:
        return (a @ b.transpose(1, 2)).pow(2).mean()

    return kernel(t, t) + kernel(s, s) - 2 * kernel(s, t)


def variational_information(t: Tensor, s: Tensor, y: Tensor, w: list) -> Tensor:
    """Ahn et al. 2019; the weights are three kernels and the variances."""
    x = s
    for number, kernel in enumerate(w[:3]):
        x = functional.conv2d(x, kernel.T[:, :, None, None])
        x = functional.relu(x) if number < 2 else x
    variance = (functional.softplus(w[3]) + 1e-5)[None, :, None, None]
    return (0.5 * ((t - x) ** 2 / variance + variance.log())).mean()


def similarity_preserving(t: Tensor, s: Tensor, y: Tensor, w: list) -> Tensor:
    """Tung and Mori 2019."""
    t, s = (functional.normalize(x.flatten(1) @ x.flatten(1).T) for x in (t, s))
    return (s - t).pow(2).mean()


def relational_kd(t: Tensor, s: Tensor, y: Tensor, w: list) -> Tensor:
    """Park et al. 2019, weights 25 and 50."""

    def distances(x: Tensor) -> Tensor:
        squares = x.pow(2).sum(1)
        products = x @ x.T
        squares = squares[:, None] + squares[None] - 2 * products
        gaps = squares.clamp(min=1e-12).sqrt()
        gaps = gaps * (1 - torch.eye(len(x)))
        return gaps / gaps[gaps > 0].mean()

    def angles(x: Tensor) -> Tensor:
        units = functional.normalize(x[None] - x[:, None], dim=-1)
        return torch.bmm(units, units.transpose(1, 2))

    with torch.no_grad():
        of_teacher = distances(t), angles(t)
    return 25 * functional.smooth_l1_loss(
        distances(s), of_teacher[0]
    ) + 50 * functional.smooth_l1_loss(angles(s), of_teacher[1])


def probabilistic_knowledge_transfer(
    t: Tensor, s: Tensor, y: Tensor, w: list
) -> Tensor:
    """Passalis and Tefas 2018."""
    near = []
    for x in (t, s):
        x = x / (x.norm(dim=1, keepdim=True) + 1e-7)
        closeness = (x @ x.T + 1) / 2
        near.append(closeness / closeness.sum(1, keepdim=True))
    t, s = near
    return (t * ((t + 1e-7) / (s + 1e-7)).log()).mean()


def correlation_congruence(t: Tensor, s: Tensor, y: Tensor, w: list) -> Tensor:
    """Peng et al. 2019, of consecutive examples."""
    gaps = (s - t).abs()
    return (gaps[:-1] * gaps[1:]).sum(-1).mean()
