"""Fitting g + γ(1 − d)h(s′) − h(s) to reward values: exactly where it is linear, by gradient steps elsewhere."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import scipy.linalg
import torch
from torch import Tensor

from irl_probe.rewards.distilled import DistilledReward
from irl_probe.rewards.errors import RewardError
from irl_probe.rewards.lasso import lasso_weights
from irl_probe.rewards.model import Floats
from irl_probe.rewards.network import RewardNetwork, tensors
from irl_probe.transitions import Transitions

MOST_ENTRIES = 50_000_000  # numbers in the matrix of a least-squares problem: 400 MB


@dataclass(frozen=True)
class Batch:
    """Steps as a `RewardNetwork` takes them, and the reward of each, (N,).

    `dynamics` is P (S, A, S) where h(s′) is to be taken in expectation over it, or None for h of the observed s′.
    """

    rows: tuple[Tensor, Tensor, Tensor, Tensor]
    values: Floats
    dynamics: Floats | None = None

    @staticmethod
    def of(reward: DistilledReward, steps: Transitions, values: Floats, dynamics: Floats | None) -> Batch:
        """The batch of these steps for the networks of `reward`."""
        batch = (steps.observations, steps.actions, steps.next_observations, steps.terminated)
        return Batch(tensors(reward.g.spec, *batch), values, dynamics)


def fit_by_least_squares(reward: DistilledReward, batch: Batch, *, ridge: float) -> None:
    """Set linear g and h to the minimum of mean (r − r̂)² + ridge·‖w‖².

    w is every weight of a linear network but its constant, and every entry of a table: of g's its departure from the
    mean reward. Of all that fit equally well it is the one nearest to the mean reward: the minimum-norm solution for
    the reward less its mean, by singular values (`scipy.linalg.lstsq`), so that what the steps do not determine is
    settled the same way each time. Steps that are the same are one row, weighted by the square root of their number.

    Raises RewardError where the matrix would be too large.
    """
    rows, values, weights = _distinct(reward.g, batch)
    mean = float(batch.values.mean())
    blocks = _blocks(reward, rows, batch.dynamics, square=ridge > 0)
    width = sum(block.shape[1] for block in blocks)
    matrix = weights[:, None] * np.concatenate(blocks, axis=1)
    wanted = weights * (values - mean)
    if ridge:  # as rows of their own, in which each penalised weight is to be 0
        held_down = np.diag(_penalised(reward.networks.values(), blocks))
        matrix = np.concatenate([matrix, np.sqrt(ridge) * np.sqrt(len(batch.values)) * held_down])
        wanted = np.concatenate([wanted, np.zeros(width)])
    rounding = np.finfo(float).eps * max(matrix.shape)
    solution, *_ = scipy.linalg.lstsq(matrix, wanted, cond=rounding, lapack_driver="gelsd")
    split = blocks[0].shape[1]
    _set_linear(reward.g, solution[:split], mean)
    if reward.h is not None:
        _set_linear(reward.h, solution[split:], 0.0)


def fit_by_lasso(reward: DistilledReward, batch: Batch, *, share: float) -> None:
    """Set linear g and h to the minimum of the lasso's loss (`lasso_weights`), which penalises all but g's constant.

    Raises RewardError where the matrix would be too large, and where the minimum is not reached.
    """
    blocks = _blocks(reward, batch.rows, batch.dynamics, square=True)
    weights, constant = lasso_weights(np.concatenate(blocks, axis=1), batch.values, share=share)
    split = blocks[0].shape[1]
    _set_linear(reward.g, weights[:split], constant)
    if reward.h is not None:
        _set_linear(reward.h, weights[split:], 0.0)


def fit_by_gradient(
    reward: DistilledReward,
    batch: Batch,
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
        loss = (_shaped(reward, *(part[index] for part in rows)) - wanted[index]).square().mean()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch gives Tensor.backward no types
        optimiser.step()
    for network, shift in zip(parts, (mean, 0.0), strict=False):
        _rescale(network, scale, shift)


def _shaped(reward: DistilledReward, o: Tensor, a: Tensor, o2: Tensor, d: Tensor) -> Tensor:
    """g + γ(1 − d)h(s′) − h(s), with gradients."""
    values: Tensor = reward.g(o, a, o2, d)
    if reward.h is None:
        return values
    after, now = reward.h(torch.cat([o2, o]), a, o2, d).chunk(2)
    return values + reward.gamma * torch.where(d, 0.0, after) - now  # type: ignore[no-any-return]  # as above


def _distinct(g: RewardNetwork, batch: Batch) -> tuple[tuple[Tensor, Tensor, Tensor, Tensor], Floats, Floats]:
    """Every distinct step once, its reward, and the square root of how often it came; steps as they are for Boxes."""
    if g.spec.observation_count is None:
        return batch.rows, batch.values, np.ones(len(batch.values))
    keys = np.concatenate([part.double().numpy().reshape(len(part), -1) for part in batch.rows], axis=1)
    _, first, inverse, counts = np.unique(keys, axis=0, return_index=True, return_inverse=True, return_counts=True)
    sums = np.bincount(inverse.ravel(), weights=batch.values)
    o, a, o2, d = (part[first] for part in batch.rows)
    return (o, a, o2, d), sums / counts, np.sqrt(counts)


def _blocks(
    reward: DistilledReward, rows: tuple[Tensor, Tensor, Tensor, Tensor], dynamics: Floats | None, *, square: bool
) -> list[Floats]:
    """The columns that the weights of g, and of h where there is one, multiply; `square`: with room for their products.

    Raises RewardError where they would be too large.
    """
    blocks = [_features(reward.g, rows)]
    if reward.h is not None:
        observations, actions, successors, ended = rows
        after = _expected_features(reward.h, rows, dynamics)
        now = _features(reward.h, (observations, actions, successors, ended))
        blocks.append(reward.gamma * after - now)
    width, count = sum(block.shape[1] for block in blocks), len(rows[0])
    if width * (count + (width if square else 0)) > MOST_ENTRIES:
        raise RewardError(
            f"A linear reward of {width} parameters on {count} different steps is too large to solve exactly; "
            "give hidden layers, DistilConfig(hidden=(64, 64))."
        )
    return blocks


def _features(network: RewardNetwork, rows: tuple[Tensor, Tensor, Tensor, Tensor]) -> Floats:
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
    """1 for each column that the ridge holds down, 0 for the constants of linear networks, which stand last."""
    columns = [np.ones(block.shape[1]) for block in blocks]
    for network, column in zip(networks, columns, strict=True):
        column[-1] = 1.0 if network.tabular else 0.0
    return np.concatenate(columns)


def _expected_features(
    h: RewardNetwork, rows: tuple[Tensor, Tensor, Tensor, Tensor], dynamics: Floats | None
) -> Floats:
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
    """Let the network give scale·output + shift."""
    weight, bias = network.layers[-1].parameters()
    with torch.no_grad():
        weight.mul_(scale)
        bias.mul_(scale).add_(shift)
