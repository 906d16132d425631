"""Canonical distances from rewards to the truth on each coverage, their decomposition, and their calibration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, cast

import numpy as np
import xarray as xr
from gymnasium import spaces

from irl_probe._config import Confidence, Config, Count, Seed, at_least
from irl_probe._names import TRUE
from irl_probe._types import Array, Bools, Floats
from irl_probe.envs.simulator import Simulator
from irl_probe.envs.true_reward import TrueReward
from irl_probe.metrics import (
    Draws,
    Dynamics,
    Estimate,
    RewardTerms,
    decompose_sample,
    draw,
    epic_forms,
    episode_return_distance,
    evaluate_on_draws,
    off_support,
    random_network,
    starc_forms,
    state_features,
)
from irl_probe.metrics.sampled_decomposition import PARTS
from irl_probe.metrics.starc import Measure, StarcForms
from irl_probe.metrics.terms import Standardised
from irl_probe.results import decomposition_group, distance_group
from irl_probe.rewards.distil_config import Gamma
from irl_probe.rewards.dynamics import LearnedDynamics, LearnedSimulator
from irl_probe.rewards.protocol import Reward
from irl_probe.rewards.recovered import RecoveredReward
from irl_probe.softq.functions import DiscreteSoftQ
from irl_probe.transitions import Transitions

METRICS = ("epic", "dard", "starc_val", "starc_minimal", "erc")
NO_DYNAMICS = (
    "It needs the successors of actions that were not taken: give dynamics=simulator(env), or a model by fit_dynamics."
)

# The truth and the rewards of the calibration; the brackets keep them distinct from the names of users' rewards.
REFERENCE, SHAPED, RANDOM = "true (reference)", "true (shaped)", "random (calibration)"

AtLeastTwo = Annotated[int, at_least(2)]


@dataclass(frozen=True)
class DistanceConfig(Config):
    """How `compare` computes canonical distances. Raises ValueError for a value out of its bounds, naming the field."""

    gamma: Gamma | None = None
    """Discount γ of the canonical forms (default: the one that all recovered rewards share)."""
    samples: AtLeastTwo = 1024
    """Steps of each coverage, drawn at random, on which the canonical forms are computed."""
    actions: AtLeastTwo = 16
    """Draws of d_A, uniform over a continuous action space; all discrete actions are used."""
    states: AtLeastTwo = 512
    """Draws of d_S, from the states of all coverages, for rewards that are not a sum of terms in s and s′."""
    draws: AtLeastTwo = 4
    """Successors of each state and action, where the dynamics are random."""
    features: AtLeastTwo = 256
    """Features of the potentials of VAL and Minimal."""
    confidence: Confidence = 0.95
    """Confidence of the intervals."""
    resamples: Count = 500
    """Bootstrap resamples of whole episodes."""
    seed: Seed = 0
    """Seed of all draws."""


def distances(
    rewards: Mapping[str, Reward],
    truth: Reward,
    coverages: Mapping[str, Transitions],
    config: DistanceConfig,
    *,
    dynamics: Simulator | LearnedDynamics | None = None,
) -> dict[str, xr.Dataset]:
    """EPIC, DARD, STARC and ERC distances to the truth, and the decomposition into four parts, on each coverage.

    All rewards are measured on the same samples, and so are two rewards for calibration: the truth shaped by a random
    network, and an independent random reward. `irl_probe.metrics` defines each measure.

    Args:
        rewards: name → reward.
        truth: the true reward, which is also called at steps that are not in the data.
        coverages: name → whole episodes.
        config: sample sizes, γ, confidence and seed.
        dynamics: a simulator of the environment, or dynamics learned from the data. None leaves DARD, STARC and the
            decomposition undefined, with the reason.

    Returns the groups /distance and /decomposition (`irl_probe.results`).

    Raises ValueError where γ is neither given nor shared, where spaces differ, or where a reward is not finite.
    """
    if isinstance(dynamics, LearnedDynamics):
        dynamics = LearnedSimulator(dynamics, config.seed)
    gamma = _gamma(rewards, config)
    _check_shapes(rewards, coverages)
    pool = np.concatenate([steps.observations for steps in coverages.values()])
    shape = (len(rewards), 1, len(coverages))
    value, reason = np.full((*shape, len(METRICS), 3), np.nan), np.full((*shape, len(METRICS)), "", dtype=object)
    shaped, random = np.full((2, 1, len(coverages), len(METRICS), 3), np.nan)
    off = np.full((len(coverages), len(METRICS)), np.nan)
    parts, why = np.full((*shape, len(PARTS), 3), np.nan), np.full((*shape, len(PARTS)), "", dtype=object)
    scale = np.full((*shape, 3), np.nan)
    for column, whole in enumerate(coverages.values()):
        found = _Coverage(rewards, truth, whole, pool, gamma, config, dynamics)
        off[column] = [found.off_support.get(metric, 0.0) for metric in METRICS]
        for m, metric in enumerate(METRICS):
            shaped[0, column, m] = found.distance(metric, SHAPED).array
            random[0, column, m] = found.distance(metric, RANDOM).array
        for row, name in enumerate(rewards):
            for m, metric in enumerate(METRICS):
                estimate = found.distance(metric, name)
                value[row, 0, column, m], reason[row, 0, column, m] = estimate.array, estimate.reason
            slope, shares = found.decomposition(name)
            scale[row, 0, column] = slope.array
            for p, part in enumerate(PARTS):
                parts[row, 0, column, p], why[row, 0, column, p] = shares[part].array, shares[part].reason
    labels = {"rewards": list(rewards), "references": [TRUE], "coverages": list(coverages)}
    group = distance_group(
        value, reason, **labels, metrics=METRICS, exact=False, shaped=shaped, random=random, off_support=off
    )
    group = group.assign_attrs(
        gamma=gamma,
        states="the states of all coverages together",
        actions="uniform over the action space",
        expectation=_expectation(dynamics),
        calibration="a random tanh network with the standard deviation of the true reward",
        samples=config.samples,
        features=config.features,
        confidence=config.confidence,
        resamples=config.resamples,
        seed=config.seed,
    )
    return {"distance": group, "decomposition": decomposition_group(parts, why, scale, **labels, parts=PARTS)}


class _Coverage:
    """The canonical forms of all rewards on one coverage."""

    def __init__(
        self,
        rewards: Mapping[str, Reward],
        truth: Reward,
        whole: Transitions,
        pool: Array,
        gamma: float,
        config: DistanceConfig,
        dynamics: Simulator | None,
    ) -> None:
        self._whole, self._config = whole, config
        self.off_support: dict[str, float] = {}
        terms = {name: _terms(name, reward) for name, reward in rewards.items()}
        true = _terms("the reference", truth)
        terms |= {REFERENCE: true} | _calibration(true, whole, pool, gamma, config.seed)
        self._terms = terms
        rng = np.random.default_rng(config.seed)
        steps = whole.rows(np.sort(rng.choice(len(whole), size=min(config.samples, len(whole)), replace=False)))
        every, sampler = _actions(rewards, whole)
        count = None if pool.ndim > 1 else int(max(pool.max(), whole.next_observations.max())) + 1
        states = pool[rng.integers(len(pool), size=config.states)]
        actions = sampler(config.actions, rng) if every is None else every
        self._epic = epic_forms(terms, steps, gamma, actions=actions, states=states, exhaustive=every is not None)
        picks = rng.integers(0, (len(steps), len(actions), len(states)), size=(2048, 3)).T
        self.off_support["epic"] = off_support(whole, steps.observations[picks[0]], actions[picks[1]], states[picks[2]])
        self._starc: StarcForms | None = None
        if dynamics is not None:
            draws = draw(
                steps,
                Dynamics(dynamics.name, _step(dynamics), dynamics.deterministic),
                actions=sampler if every is None else every,
                draws=config.draws,
                seed=rng,
            )
            self._evaluations = evaluate_on_draws(terms, draws, gamma)
            features = state_features(steps.observations, size=config.features, count=count, seed=config.seed)
            self._starc = starc_forms(self._evaluations, draws, gamma, features)
            self.off_support |= dict.fromkeys(("dard", "starc_val"), _off_support(whole, draws))

    def distance(self, metric: str, name: str) -> Estimate:
        """The distance from a reward to the truth."""
        c = self._config
        if metric == "epic":
            return self._epic.distance(name, REFERENCE, confidence=c.confidence, resamples=c.resamples, seed=c.seed)
        if metric == "erc":
            t = self._whole
            batch = (t.observations, t.actions, t.next_observations, t.terminated)
            pair = (self._terms[name](*batch), self._terms[REFERENCE](*batch))
            return episode_return_distance(
                *pair, t.lengths, confidence=c.confidence, resamples=c.resamples, seed=c.seed
            )
        if self._starc is None:
            return Estimate.undefined(NO_DYNAMICS)
        return self._starc.distance(
            cast(Measure, metric), name, REFERENCE, confidence=c.confidence, resamples=c.resamples, seed=c.seed
        )

    def decomposition(self, name: str) -> tuple[Estimate, dict[str, Estimate]]:
        """The scale λ and the share of the variance of each part."""
        if self._starc is None:
            return Estimate.undefined(NO_DYNAMICS), dict.fromkeys(PARTS, Estimate.undefined(NO_DYNAMICS))
        c = self._config
        found = decompose_sample(
            self._evaluations,
            self._starc,
            name,
            REFERENCE,
            confidence=c.confidence,
            resamples=c.resamples,
            seed=c.seed,
        )
        return found.scale, found.shares


def _terms(name: str, reward: Reward) -> RewardTerms:
    """A reward as a sum of terms in s, (s, a) and s′, which makes its canonical forms cheap.

    Where the MDP ended, the term in s′ is 0. A per-transition reward is then Q(s, a): r plus its `tail` γ·V_abs.
    """
    if isinstance(reward, TrueReward) and reward.of_pair:
        return RewardTerms(name, pair=lambda s, a: reward(s, a, s, np.zeros(len(s), dtype=bool)))
    if not isinstance(reward, RecoveredReward):
        return RewardTerms(name, joint=reward)
    if reward.kind == "marginal":
        return RewardTerms(name, pair=lambda s, a: reward(s, a, s, np.zeros(len(s), dtype=bool)))
    soft_q = reward.soft_q
    table = (lambda s, a: soft_q.table(s)[:, a]) if isinstance(soft_q, DiscreteSoftQ) else None
    return RewardTerms(name, pair=reward.q, successor=lambda s: -reward.gamma * reward.v(s), table=table)


def _calibration(true: RewardTerms, steps: Transitions, pool: Array, gamma: float, seed: int) -> dict[str, RewardTerms]:
    """The truth shaped by a random network with the truth's standard deviation, and a random network of (s, a)."""
    batch = (steps.observations, steps.actions, steps.next_observations, steps.terminated)
    size = float(true(*batch).std()) or 1.0
    of_states = Standardised.by(pool, count=None if pool.ndim > 1 else int(max(pool.max(), batch[2].max())) + 1)
    of_actions = Standardised.by(steps.actions)

    def joined(s: Array, a: Array) -> Floats:
        if of_actions.count is not None:
            a = np.minimum(a, of_actions.count - 1)
        return np.concatenate([of_states(s), of_actions(a)], axis=1)

    potential = random_network(of_states(pool), seed=seed + 1, deviation=size)
    other = random_network(joined(*batch[:2]), seed=seed + 2)
    return {
        SHAPED: RewardTerms(
            SHAPED,
            state=lambda s: -potential(of_states(s)),
            pair=true.pair,
            successor=lambda s: gamma * potential(of_states(s)),
            joint=true.joint,
        ),
        RANDOM: RewardTerms(RANDOM, pair=lambda s, a: other(joined(s, a))),
    }


def _actions(
    rewards: Mapping[str, Reward], steps: Transitions
) -> tuple[Array | None, Callable[[int, np.random.Generator], Array]]:
    """All actions of a discrete space, else None; and a function that draws uniformly from the action space."""
    known = [r.action_space for r in rewards.values() if isinstance(r, RecoveredReward)]
    if steps.actions.ndim == 1 and np.issubdtype(steps.actions.dtype, np.integer):
        count = next((int(s.n) for s in known if isinstance(s, spaces.Discrete)), int(steps.actions.max()) + 1)
        return np.arange(count), lambda n, rng: rng.integers(count, size=n)
    low, high = steps.actions.min(axis=0), steps.actions.max(axis=0)
    for space in known:
        if isinstance(space, spaces.Box) and space.is_bounded():
            low, high = space.low, space.high
    return None, lambda n, rng: rng.uniform(low, high, (n, *np.shape(low))).astype(steps.actions.dtype)


def _step(dynamics: Simulator) -> Callable[[Array, Array], tuple[Array, Bools]]:
    def step(observations: Array, actions: Array) -> tuple[Array, Bools]:
        found = dynamics.step(observations, actions)
        return found.next_observations, found.terminated

    return step


def _expectation(dynamics: Simulator | None) -> str:
    if dynamics is None:
        return "none"
    if isinstance(dynamics, LearnedSimulator):
        return f"{dynamics.name} ({dynamics.note})"
    return f"simulator ({dynamics.name})"


def _off_support(whole: Transitions, draws: Draws) -> float:
    """The share of the drawn (s, A, S′) that is unlike all steps of the data."""
    _, length, width = draws.shape
    states = np.repeat(draws.steps.observations, length * width, axis=0)
    actions, after = (x.reshape(-1, *x.shape[3:]) for x in (draws.actions, draws.after))
    return off_support(whole, states, actions, after)


def _gamma(rewards: Mapping[str, Reward], config: DistanceConfig) -> float:
    if config.gamma is not None:
        return config.gamma
    shared = {r.gamma for r in rewards.values() if isinstance(r, RecoveredReward)}
    if len(shared) != 1:
        got = f"got {sorted(shared)}" if shared else "none of these rewards has one"
        raise ValueError(
            f"Canonical distances need one discount γ that all recovered rewards share; {got}. "
            "Pass distances=DistanceConfig(gamma=0.99)."
        )
    return shared.pop()


def _check_shapes(rewards: Mapping[str, Reward], coverages: Mapping[str, Transitions]) -> None:
    first, steps = next(iter(coverages.items()))
    for name, other in coverages.items():
        for role in ("observations", "actions"):
            ours, theirs = getattr(steps, role).shape[1:], getattr(other, role).shape[1:]
            if ours != theirs:
                raise ValueError(
                    f"All coverages must be of one environment; '{first}' has {role} of shape {ours}, '{name}' of "
                    f"{theirs}."
                )
    for name, reward in rewards.items():
        if isinstance(reward, RecoveredReward) and reward.observation_space.shape != steps.observations.shape[1:]:
            raise ValueError(
                f"Reward '{name}' takes observations of shape {reward.observation_space.shape}; coverage '{first}' has "
                f"{steps.observations.shape[1:]}. Use transitions of the environment it was learned in."
            )
