"""The verb distil: an explicit reward model, fitted to a recovered reward on a stated coverage."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import scipy.linalg
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import Tensor

from irl_probe._config import check_kind
from irl_probe._spaces import Space
from irl_probe._types import Array, Bools, Floats
from irl_probe.metrics.bootstrap import Estimate, percentile_interval, resample_counts
from irl_probe.rewards.distil_config import FORMS, DistilConfig
from irl_probe.rewards.expectation import ExactExpectation
from irl_probe.rewards.explicit import DistilledReward, RewardNetwork, tensors
from irl_probe.rewards.protocol import Reward, RewardError, evaluate_reward
from irl_probe.rewards.recovered import RecoveredReward
from irl_probe.softq import NetworkSpec
from irl_probe.transitions import Transitions


def lasso_weights(features: Floats, values: Floats, *, share: float) -> tuple[Floats, float]:
    """The minimum of ½ mean (y − w·x − b)² + λ Σ σ_j |w_j| over w and b (Tibshirani 1996, features standardised).

    σ_j is the standard deviation of feature j, so that units do not matter. λ is `share` of the smallest penalty that
    leaves no weight, max_j |cov(x_j, y)|/σ_j; a feature that does not vary has none. Solved over w = w⁺ − w⁻, both at
    least 0, by L-BFGS-B (`scipy.optimize.minimize`), whose weights at that bound are exactly 0.

    Args:
        features: x, (N, D).
        values: y, (N,).
        share: between 0 (least squares) and 1 (no weights).

    Returns w (D,) in the features' own units, and b. Features that are copies of each other share their weight.

    Raises RewardError where the minimum is not reached: a very small share and features that nearly repeat each other.
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


MOST_ENTRIES = 50_000_000  # numbers in the matrix of a least-squares problem: 400 MB


@dataclass(frozen=True)
class Steps:
    """Steps as a `RewardNetwork` takes them, and the reward of each, (N,).

    `dynamics` is P (S, A, S) where h(s′) is to be taken in expectation over it, or None for h of the observed s′.
    """

    rows: tuple[Tensor, Tensor, Tensor, Tensor]
    values: Floats
    dynamics: Floats | None = None

    @staticmethod
    def of(reward: DistilledReward, steps: Transitions, values: Floats, dynamics: Floats | None) -> Steps:
        """The batch of these steps for the networks of `reward`."""
        batch = (steps.observations, steps.actions, steps.next_observations, steps.terminated)
        return Steps(tensors(reward.g.spec, *batch), values, dynamics)


def fit_by_least_squares(reward: DistilledReward, batch: Steps, *, ridge: float) -> None:
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


def fit_by_lasso(reward: DistilledReward, batch: Steps, *, share: float) -> None:
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


def _distinct(g: RewardNetwork, batch: Steps) -> tuple[tuple[Tensor, Tensor, Tensor, Tensor], Floats, Floats]:
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


RESAMPLES, CONFIDENCE = 1000, 0.95
TOTAL = "all"  # the figure of all coverages together


DEFAULTS = DistilConfig()


def distil(
    reward: Reward,
    transitions: Mapping[str, Transitions] | Transitions,
    config: DistilConfig = DEFAULTS,
    *,
    spaces: tuple[Space, Space] | None = None,
) -> DistilledReward:
    """Fit an explicit reward r(s), r(s, a) or r(s, a, s′), with or without shaping, to `reward` by least squares.

    The fit is known only on the coverage given: state it, and mix coverages where the reward will meet other states.
    A table's entries that the coverage never met are the mean reward. The share of variance explained,
    1 − Σ(r − r̂)²/Σ(r − r̄)² over the held-out episodes' steps, with an interval over episodes, is in the figures, for
    each coverage and for all. A marginal reward with an exact expectation is fitted by tables, and judged, in
    expectation: g + γE[h(s′)] − h(s); every other at the s′ observed, which in a stochastic environment costs a
    shaped form some of its fit.

    Args:
        reward: a recovered reward, or any other.
        transitions: name → steps on which to fit, or one such without a name ("data"). The name "all"
            is taken, by the figure of all together. True rewards are not read.
        config: see `DistilConfig`.
        spaces: observation and action space; None takes the recovered reward's.

    Raises RewardError where `reward` is not recovered and spaces or γ are missing, where a coverage is named "all" or
    by no text or has fewer than two episodes, where a reward value is not finite, where a ridge or lasso meets hidden
    layers, the default of these spaces, and where a lasso meets discrete states or does not converge.
    """
    check_kind(config, DistilConfig, "The config of distil", "Write irl_probe.DistilConfig(form='state').")
    coverages = _coverages(transitions)
    known = reward if isinstance(reward, RecoveredReward | DistilledReward) else None
    gamma, (observation_space, action_space) = _gamma(config, known), _spaces(spaces, known)
    spec = _spec(observation_space, action_space, config)
    if spec.hidden and config.penalty is not None:
        raise RewardError(config.unfit_penalty(spec.hidden))
    if config.lasso and spec.observation_count is not None:
        raise RewardError(
            "A lasso chooses among features, and discrete states have none: each is an entry of a table; got "
            f"lasso={config.lasso}. Use a ridge."
        )
    training, held_out = _split(coverages, config)
    distilled = DistilledReward(
        *_networks(spec, config),
        gamma=gamma,
        temperature=None if known is None else known.temperature,
        observation_space=observation_space,
        action_space=action_space,
        terminal_value=0.0 if known is None else known.terminal_value,
    )
    batch = Steps.of(distilled, training, evaluate_reward(reward, training, name="to distil"), _dynamics(reward))
    if spec.hidden:
        fit_by_gradient(
            distilled,
            batch,
            learning_rate=config.learning_rate,
            weight_decay=config.weight_decay,
            steps=config.steps,
            batch_size=config.batch_size,
            seed=config.seed,
        )
    elif config.lasso:
        fit_by_lasso(distilled, batch, share=config.lasso)
    else:
        fit_by_least_squares(distilled, batch, ridge=config.ridge)
    _centre(distilled, training)
    kept = Transitions.concatenate(held_out.values())
    figures = {name: _explained(reward, distilled, steps, config.seed) for name, steps in held_out.items()}
    figures |= {TOTAL: _explained(reward, distilled, kept, config.seed)} if len(held_out) > 1 else {}
    return replace(
        distilled,
        provenance={
            **({} if known is None else known.provenance),
            "distilled_form": config.form + (" + shaping" if config.shaping else ""),
            "distilled_on": ", ".join(coverages),
            "distilled_on_sha256": Transitions.concatenate(coverages.values()).content_hash(),
            "distilled_steps": len(training),
            "distilled_held_out_episodes": len(kept.starts),
            "distilled_seed": config.seed,
            **({} if config.penalty is None else {f"distilled_{config.penalty}": getattr(config, config.penalty)}),
        },
        figures={"explained_variance": figures},
    )


def distil_forms(
    reward: Reward,
    transitions: Mapping[str, Transitions] | Transitions,
    config: DistilConfig = DEFAULTS,
    *,
    spaces: tuple[Space, Space] | None = None,
) -> dict[str, DistilledReward]:
    """Every form by name, "state" to "transition + shaping", fitted to the same steps and judged on the same others.

    `compare({"recovered": reward, **distil_forms(reward, transitions)}, ...)` says what each costs in every measure.
    """
    return {
        form + (" + shaping" if shaping else ""): distil(
            reward, transitions, replace(config, form=form, shaping=shaping), spaces=spaces
        )
        for shaping in (False, True)
        for form in FORMS
    }


def _coverages(transitions: Mapping[str, Transitions] | Transitions) -> dict[str, Transitions]:
    """Steps by the name of their coverage, under which their figure will stand."""
    if isinstance(transitions, Transitions):
        return {"data": transitions}
    check_kind(transitions, Mapping, "What a reward is distilled on", "Of demonstrations give demos.transitions.")
    for name, steps in transitions.items():
        if not isinstance(name, str) or name == TOTAL:
            raise RewardError(
                f"A coverage must be named by a text other than {TOTAL!r}, under which the figure of all coverages "
                f"together stands; got {name!r}. Name it after where its steps come from, such as 'expert'."
            )
        check_kind(steps, Transitions, f"The coverage {name!r}", "Of demonstrations give demos.transitions.")
    return dict(transitions)


def _gamma(config: DistilConfig, known: RecoveredReward | DistilledReward | None) -> float:
    if config.gamma is not None:
        return config.gamma
    if known is None:
        raise RewardError("A reward that was not recovered has no discount; give DistilConfig(gamma=...).")
    return known.gamma


def _spaces(given: tuple[Space, Space] | None, known: RecoveredReward | DistilledReward | None) -> tuple[Space, Space]:
    if given is not None:
        return given
    if known is None:
        raise RewardError(
            "A reward that was not recovered has no spaces; give spaces=(env.observation_space, env.action_space)."
        )
    return known.observation_space, known.action_space


def _spec(observation_space: Space, action_space: Space, config: DistilConfig) -> NetworkSpec:
    try:
        spec = NetworkSpec.of(observation_space, action_space, hidden=(), activation=config.activation)
    except ValueError as error:
        raise RewardError(str(error)) from error
    discrete = spec.observation_count is not None and spec.action_count is not None
    hidden = config.hidden if config.hidden is not None else () if discrete else (64, 64)
    return replace(spec, hidden=tuple(hidden))


def _networks(spec: NetworkSpec, config: DistilConfig) -> tuple[RewardNetwork, RewardNetwork | None]:
    """g and h with first weights from the config's seed; tables and linear models in double precision."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        g = RewardNetwork(spec, config.form)
        h = RewardNetwork(spec, "state") if config.shaping else None
    if not spec.hidden:
        g, h = g.double(), None if h is None else h.double()
    return g, h


def _split(coverages: Mapping[str, Transitions], config: DistilConfig) -> tuple[Transitions, dict[str, Transitions]]:
    """All training steps, and the held-out steps of each coverage: whole episodes, at least one on either side."""
    rng = np.random.default_rng(config.seed)
    training, held_out = [], {}
    for name, steps in coverages.items():
        episodes = len(steps.starts)
        if episodes < 2:
            raise RewardError(
                f"Each coverage must have at least two episodes, one of them to judge the fit by; '{name}' has "
                f"{episodes}. Record more, or concatenate it with another coverage."
            )
        order = rng.permutation(episodes).tolist()
        kept = min(max(round(config.held_out * episodes), 1), episodes - 1)
        held_out[name] = steps.episodes(sorted(order[:kept]))
        training.append(steps.episodes(sorted(order[kept:])))
    if not training:
        raise RewardError("A reward is distilled on at least one coverage; got an empty mapping.")
    return Transitions.concatenate(training), held_out


def _dynamics(reward: Reward) -> Floats | None:
    """P (S, A, S) where the reward is marginal by an exact expectation."""
    if isinstance(reward, RecoveredReward) and isinstance(reward.expectation, ExactExpectation):
        return reward.expectation.transition
    return None


def _centre(distilled: DistilledReward, steps: Transitions) -> None:
    """Let h have mean 0 on the steps, where that changes nothing.

    As long as no step ends the MDP, h + m and g − (1 − γ)m make the same reward as h and g; an end, where h is 0,
    tells them apart.
    """
    if distilled.h is None or steps.terminated.any():
        return
    mean = float(distilled.potential(steps.observations).mean())
    with torch.no_grad():
        _constant(distilled.h).sub_(mean)
        _constant(distilled.g).sub_((1 - distilled.gamma) * mean)


def _constant(network: RewardNetwork) -> torch.Tensor:
    """What to add a constant to, so that the network's output moves by it."""
    return network.table if network.tabular else network.layers[-1].bias  # type: ignore[return-value]  # a Linear's


def _explained(reward: Reward, distilled: DistilledReward, steps: Transitions, seed: int) -> dict[str, object]:
    """Share of the variance of `reward` over the steps that `distilled` explains, with an interval over episodes."""
    true = evaluate_reward(reward, steps, name="to distil")
    residual = true - _predicted(reward, distilled, steps)
    counts = resample_counts(len(steps.starts), RESAMPLES, seed)

    def total(values: Floats) -> Floats:
        return np.asarray(counts @ np.add.reduceat(values, steps.starts))

    centred = true - true.mean()  # against cancellation; the variance is about each resample's own mean
    variance = total(centred**2) - total(centred) ** 2 / total(np.ones_like(true))
    scale = max(float(np.abs(true).max()), 1e-300)
    if variance[0] <= (1e-12 * scale) ** 2 * len(true):
        estimate = Estimate.undefined("The reward is constant on the held-out episodes: there is no variance.")
    else:
        with np.errstate(divide="ignore", invalid="ignore"):
            share = 1 - total(residual**2) / np.where(variance > 0, variance, np.nan)
        single = "One held-out episode has no interval." if len(steps.starts) == 1 else ""
        estimate = percentile_interval(share, CONFIDENCE, without=single)
    bounds = dict(zip(("estimate", "low", "high"), estimate.array.tolist(), strict=True))
    shown: dict[str, object] = {name: value if np.isfinite(value) else None for name, value in bounds.items()}
    return shown | ({"reason": estimate.reason} if estimate.reason else {})


def _predicted(reward: Reward, distilled: DistilledReward, steps: Transitions) -> Floats:
    """The distilled reward of each step; in expectation over s′ where the reward's own expectation is exact."""
    batch: tuple[Array, Array, Array, NDArray[np.bool_]]
    batch = (steps.observations, steps.actions, steps.next_observations, steps.terminated)
    if _dynamics(reward) is None or distilled.h is None:
        return distilled(*batch)
    assert isinstance(reward, RecoveredReward)

    def after(observations: Array, ended: Bools) -> Floats:
        return np.where(ended, 0.0, distilled.potential(observations))

    expected, _ = reward.expectation(after, *batch)
    return distilled.unshaped(*batch) + distilled.gamma * expected - distilled.potential(steps.observations)
