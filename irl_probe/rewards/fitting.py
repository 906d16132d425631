"""How g and h of a distilled reward are fitted: exactly by least squares or a lasso, or by gradient descent."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import scipy.linalg
import torch
from scipy.optimize import minimize
from torch import Tensor

from irl_probe._plain import plain_steps
from irl_probe._types import Floats
from irl_probe.rewards.distilled import DistilledReward
from irl_probe.rewards.protocol import RewardError
from irl_probe.rewards.reward_network import RewardNetwork, as_tensors
from irl_probe.rewards.torch_module import shaped
from irl_probe.transitions import Transitions

MOST_ENTRIES = 50_000_000  # numbers in the matrix of a least-squares problem: 400 MB
Rows = tuple[Tensor, Tensor, Tensor, Tensor]
"""Observations, actions, next observations and ends, as a `RewardNetwork` takes them."""


@dataclass(frozen=True)
class Steps:
    """Steps as a `RewardNetwork` takes them, and the reward of each, (N,).

    `dynamics` is P (S, A, S) where h(s′) is to be taken in expectation over it, or None for h of the observed s′.
    """

    rows: Rows
    values: Floats
    dynamics: Floats | None = None

    @staticmethod
    def of(reward: DistilledReward, steps: Transitions, values: Floats, dynamics: Floats | None) -> Steps:
        """The batch of these steps for the networks of `reward`."""
        plain = plain_steps((reward.observation_space, reward.action_space), steps)
        batch = (plain.observations, plain.actions, plain.next_observations, plain.terminated)
        return Steps(as_tensors(reward.g.spec, *batch), values, dynamics)


def fit_by_least_squares(reward: DistilledReward, batch: Steps, *, ridge: float) -> None:
    """Set linear g and h to the minimum of mean (r − r̂)² + ridge·‖w‖².

    w holds every weight of a linear network except its constant, and every entry of a table (of g's table, the entry
    minus the mean reward). Of all solutions that fit equally well it takes the one nearest to the mean reward: the
    minimum-norm solution for the reward minus its mean, by singular values (`scipy.linalg.lstsq`). So weights that the
    steps do not determine are the same each time. Identical steps make one row, weighted by the square root of their
    number.

    Raises RewardError where the matrix would be too large.
    """
    _centre_far(reward, batch)
    rows, values, weights = _distinct(reward.g, batch)
    mean = float(batch.values.mean())
    blocks = _blocks(reward, rows, batch.dynamics, square=ridge > 0)
    width = sum(block.shape[1] for block in blocks)
    matrix = weights[:, None] * np.concatenate(blocks, axis=1)
    wanted = weights * (values - mean)
    if ridge:  # one extra row for each penalised weight, with the target 0
        penalty = np.diag(_penalised(reward.networks.values(), blocks))
        matrix = np.concatenate([matrix, np.sqrt(ridge) * np.sqrt(len(batch.values)) * penalty])
        wanted = np.concatenate([wanted, np.zeros(width)])
    rounding = np.finfo(float).eps * max(matrix.shape)
    solution, *_ = scipy.linalg.lstsq(matrix, wanted, cond=rounding, lapack_driver="gelsd")
    split = blocks[0].shape[1]
    _set_linear(reward.g, solution[:split], mean)
    if reward.h is not None:
        _set_linear(reward.h, solution[split:], 0.0)


def fit_by_lasso(reward: DistilledReward, batch: Steps, *, share: float) -> None:
    """Set linear g and h to the minimum of the lasso's loss (`lasso_weights`), which penalises all but g's constant.

    Raises RewardError where the matrix would be too large, and where the minimum is not reached.
    """
    _centre_far(reward, batch)
    blocks = _blocks(reward, batch.rows, batch.dynamics, square=True)
    weights, constant = lasso_weights(np.concatenate(blocks, axis=1), batch.values, share=share)
    split = blocks[0].shape[1]
    _set_linear(reward.g, weights[:split], constant)
    if reward.h is not None:
        _set_linear(reward.h, weights[split:], 0.0)


def fit_by_gradient(
    reward: DistilledReward,
    batch: Steps,
    *,
    learning_rate: float,
    weight_decay: float,
    steps: int,
    batch_size: int,
    seed: int,
) -> None:
    """Train g and h by AdamW on the mean squared error of the standardised reward, the rate falling linearly to 0.

    Batches are drawn with replacement. Observations are normalised by the steps' moments.
    """
    rows, mean = batch.rows, float(batch.values.mean())
    scale = float(batch.values.std()) or 1.0
    wanted = torch.as_tensor((batch.values - mean) / scale, dtype=torch.float32)
    parts = list(reward.networks.values())
    for network in parts:
        network.encoder.fit(rows[0].numpy())
    optimiser = torch.optim.AdamW(
        [parameter for network in parts for parameter in network.parameters()],
        weight_decay=weight_decay,
        fused=True,
    )
    rng = np.random.default_rng(seed)
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = learning_rate * (1 - step / steps)
        index = torch.as_tensor(rng.integers(len(wanted), size=batch_size))
        loss = (
            (shaped(reward.g, reward.h, reward.gamma, *(part[index] for part in rows)) - wanted[index]).square().mean()
        )
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch gives Tensor.backward no types
        optimiser.step()
    for network, shift in zip(parts, (mean, 0.0), strict=False):
        _rescale(network, scale, shift)


def lasso_weights(features: Floats, values: Floats, *, share: float) -> tuple[Floats, float]:
    """The minimum of ½ mean (y − w·x − b)² + λ Σ σ_j |w_j| over w and b (Tibshirani 1996, features standardised).

    σ_j is the standard deviation of feature j, so units do not matter. λ is `share` of the smallest penalty that
    leaves no weight, max_j |cov(x_j, y)|/σ_j; a feature that does not vary gets no weight. Solved over w = w⁺ − w⁻,
    both at least 0, by L-BFGS-B (`scipy.optimize.minimize`), which makes weights at this bound exactly 0.

    Args:
        features: x, (N, D).
        values: y, (N,).
        share: between 0 (least squares) and 1 (no weights).

    Returns w (D,) in the features' own units, and b. Features that are copies of each other share their weight.

    Raises RewardError where the minimum is not reached, as with a very small share and nearly collinear features.
    """
    centre, spread, mean = features.mean(axis=0), features.std(axis=0), float(values.mean())
    varying = spread > 1e-12 * np.abs(features).max(axis=0)
    weights = np.zeros(len(spread))
    if varying.any():
        standard = (features[:, varying] - centre[varying]) / spread[varying]
        gram, covariance = standard.T @ standard / len(values), standard.T @ (values - mean) / len(values)
        weights[varying] = _solve(gram, covariance, share * float(np.abs(covariance).max())) / spread[varying]
    return weights, mean - float(weights @ centre)


def _solve(gram: Floats, covariance: Floats, penalty: float) -> Floats:
    """argmin ½ wᵀGw − cᵀw + λ‖w‖₁, for values of unit scale: c is divided by its largest entry."""
    width, scale = len(covariance), float(np.abs(covariance).max()) or 1.0
    target, level = covariance / scale, penalty / scale

    def loss(parts: Floats) -> tuple[float, Floats]:
        w = parts[:width] - parts[width:]
        slope = gram @ w - target
        value = 0.5 * w @ (slope - target) + level * parts.sum()
        return float(value), np.concatenate([slope + level, level - slope])

    found = minimize(
        loss,
        np.zeros(2 * width),
        jac=True,
        method="L-BFGS-B",
        bounds=[(0, None)] * (2 * width),
        options={"maxiter": 100_000, "maxfun": 1_000_000, "ftol": 0.0, "gtol": 1e-10},
    )
    weights = found.x[:width] - found.x[width:]
    excess = float(np.abs(gram @ weights - target).max()) - level  # at most 0 at the minimum
    if excess > 1e-3 * max(level, 1e-3):
        raise RewardError(
            "The lasso was not solved: features nearly repeat each other, and its share is too small to choose among "
            f"them (a slope of {excess:.1g} is left, of 1 without weights). Give a larger lasso, or a ridge."
        )
    return np.asarray(scale * weights)


def _centre_far(reward: DistilledReward, batch: Steps) -> None:
    """Let linear networks take off means that are far from 0, where the columns would all but repeat the constant."""
    for network in reward.networks.values():
        network.encoder.centre_far(batch.rows[0].numpy())


def _distinct(g: RewardNetwork, batch: Steps) -> tuple[Rows, Floats, Floats]:
    """Distinct steps, their mean rewards and the square roots of their counts; with a Box, all steps with count 1."""
    if g.spec.observation_count is None:
        return batch.rows, batch.values, np.ones(len(batch.values))
    keys = np.concatenate([part.double().numpy().reshape(len(part), -1) for part in batch.rows], axis=1)
    _, first, inverse, counts = np.unique(keys, axis=0, return_index=True, return_inverse=True, return_counts=True)
    sums = np.bincount(inverse.ravel(), weights=batch.values)
    o, a, o2, d = (part[first] for part in batch.rows)
    return (o, a, o2, d), sums / counts, np.sqrt(counts)


def _blocks(reward: DistilledReward, rows: Rows, dynamics: Floats | None, *, square: bool) -> list[Floats]:
    """The feature columns of g, and of h if there is one, (N, width) each.

    `square` says that the solver also needs a matrix (width, width). Raises RewardError where the sizes are too large.
    """
    blocks = [_features(reward.g, rows)]
    if reward.h is not None:
        blocks.append(reward.gamma * _expected_features(reward.h, rows, dynamics) - _features(reward.h, rows))
    width, count = sum(block.shape[1] for block in blocks), len(rows[0])
    if width * (count + (width if square else 0)) > MOST_ENTRIES:
        raise RewardError(
            f"A linear reward of {width} parameters on {count} different steps is too large to solve exactly; "
            "give hidden layers, DistilConfig(hidden=(64, 64))."
        )
    return blocks


def _features(network: RewardNetwork, rows: Rows) -> Floats:
    """The columns that a linear network multiplies: one-hot entries of its table, or its inputs and a 1."""
    if not network.tabular:
        inputs = network.inputs(*rows).double().numpy()
        return np.concatenate([inputs, np.ones((len(inputs), 1))], axis=1)
    entries = tuple(part.numpy() for part in network.entries(*rows))
    columns = np.ravel_multi_index(entries, tuple(network.table.shape))
    features = np.zeros((len(columns), network.table.numel()))
    features[np.arange(len(columns)), columns] = 1
    return features


def _penalised(networks: Iterable[RewardNetwork], blocks: list[Floats]) -> Floats:
    """1 for each column that the ridge penalises, 0 for the constants of linear networks, which are last."""
    columns = [np.ones(block.shape[1]) for block in blocks]
    for network, column in zip(networks, columns, strict=True):
        column[-1] = 1.0 if network.tabular else 0.0
    return np.concatenate(columns)


def _expected_features(h: RewardNetwork, rows: Rows, dynamics: Floats | None) -> Floats:
    """The columns of h(s′): 0 where the MDP ended; in expectation over `dynamics` where it is given."""
    o, a, o2, d = rows
    if dynamics is not None:
        return np.asarray(dynamics[o.long().numpy(), a.long().numpy()])
    return np.where(d.numpy()[:, None], 0.0, _features(h, (o2, a, o2, d)))


def _set_linear(network: RewardNetwork, solution: Floats, mean: float) -> None:
    with torch.no_grad():
        if network.tabular:
            network.table.copy_(torch.as_tensor(solution.reshape(network.table.shape) + mean))
            return
        weight, bias = network.layers[-1].parameters()
        weight.copy_(torch.as_tensor(solution[None, :-1]))
        bias.copy_(torch.as_tensor(solution[-1:] + mean))


def _rescale(network: RewardNetwork, scale: float, shift: float) -> None:
    """Change the last layer so that the network gives scale·output + shift."""
    weight, bias = network.layers[-1].parameters()
    with torch.no_grad():
        weight.mul_(scale)
        bias.mul_(scale).add_(shift)
