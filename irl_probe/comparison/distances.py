"""Canonical distances from rewards to the truth on each coverage, their decomposition, and their calibration."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, TypedDict, cast

import numpy as np
import xarray as xr
from gymnasium import spaces

from irl_probe._config import Confidence, Config, Count, Seed, at_least
from irl_probe._names import TRUE
from irl_probe._plain import every_action, same_units, to_plain_actions
from irl_probe._spaces import Space
from irl_probe._types import Array, Bools, Floats
from irl_probe.envs.simulator import Simulator
from irl_probe.envs.true_reward import TrueReward
from irl_probe.metrics import (
    Dynamics,
    Estimate,
    RewardTerms,
    dard_forms,
    decompose_sample,
    draw_successors,
    epic_forms,
    episode_return_distance,
    follow,
    off_support,
    random_network,
    roll_out,
    starc_sample,
    state_features,
)
from irl_probe.metrics.dard import DardForms
from irl_probe.metrics.sampled_decomposition import PARTS
from irl_probe.metrics.starc import Measure, StarcForms
from irl_probe.metrics.terms import Standardised
from irl_probe.results import decomposition_group, distance_group
from irl_probe.rewards.distil_config import Gamma
from irl_probe.rewards.distilled import DistilledReward
from irl_probe.rewards.dynamics import LearnedDynamics, LearnedSimulator
from irl_probe.rewards.model import RewardModel
from irl_probe.rewards.protocol import Reward, plain_rows
from irl_probe.rewards.recovered import RecoveredReward
from irl_probe.softq.functions import DiscreteSoftQ
from irl_probe.transitions import Transitions

METRICS = ("epic", "dard", "starc_val", "starc_minimal", "erc")
NO_DYNAMICS = (
    "It needs the successors of actions that were not taken: give dynamics=simulator(env), or a model by fit_dynamics."
)

# The truth and the rewards of the calibration; the brackets keep them distinct from the names of users' rewards.
REFERENCE, SHAPED, RANDOM = "true (reference)", "true (shaped)", "random (calibration)"
TIMES = (1, 10)  # the calibration shapes the truth with 1 and 10 times the potential of a reward

REFERENCES = 4  # pairs (s, a) at which a plain function's dependence on s′ is read
SIZES = tuple(2**k for k in range(5, 12))  # numbers of features, among which held-out episodes choose

REACH = 0.2  # VAL's rollouts, as a share of 1/(1 − γ) steps
REMEMBERED = 4  # batches of states whose V is kept

AtLeastTwo = Annotated[int, at_least(2)]


@dataclass(frozen=True)
class DistanceConfig(Config):
    """How `compare` computes canonical distances. Raises ValueError for a value out of its bounds, naming the field."""

    gamma: Gamma | None = None
    """Discount γ of the canonical forms (default: the one that all recovered rewards share)."""
    samples: AtLeastTwo = 1024
    """Steps of each coverage: drawn at random for EPIC and DARD, evenly spaced for VAL."""
    actions: AtLeastTwo = 16
    """Draws of d_A, uniform over a continuous action space; all discrete actions are used."""
    states: AtLeastTwo = 512
    """Draws of d_S, from the states of all coverages, for rewards that are not a sum of terms in s and s′."""
    draws: AtLeastTwo = 4
    """Successors of each state and action, where the dynamics are random."""
    steps: AtLeastTwo = 8192
    """Most steps of each coverage for Minimal: all steps, or whole episodes drawn at random. VAL's are among them."""
    features: AtLeastTwo = 256
    """Most features of VAL's value; held-out episodes choose how many are used."""
    minimal_features: AtLeastTwo = 32
    """Features of Minimal's potentials. They are part of its definition where states are continuous: a larger number
    makes it smaller, and needs more steps."""
    simulated: AtLeastTwo = 40_000
    """Simulated steps of the policy d_A, on which VAL's value is fitted."""
    estimator: Literal["features", "rollouts"] = "features"
    """VAL by short rollouts and a fitted value, or from its definition by long rollouts: slow, without features."""
    horizon: Count | None = None
    """Steps of VAL's rollouts before the fitted value takes over (default 0.2/(1 − γ), so 20 at γ = .99). Fewer are
    cheaper and have less noise, but miss what features do not show, such as how far an action carries on a robot."""
    rollouts: AtLeastTwo = 8
    """Rollouts of each step and first action; estimator="rollouts" needs more of them."""
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

    All rewards are measured on the same samples. Beside each figure stands its calibration: the distance from the truth
    to the truth shaped at the scale of that reward's own value function, once and ten times. `irl_probe.metrics`
    defines each measure.

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
    space = _action_space(rewards, truth, dynamics)
    if isinstance(dynamics, LearnedDynamics):
        dynamics = LearnedSimulator(dynamics, config.seed, space)
    gamma = _gamma(rewards, config)
    _check_shapes(rewards, coverages)
    pool = np.concatenate([steps.observations for steps in coverages.values()])
    shape = (len(rewards), 1, len(coverages))
    value, reason = np.full((*shape, len(METRICS), 3), np.nan), np.full((*shape, len(METRICS)), "", dtype=object)
    shaped = np.full((len(TIMES), *value.shape), np.nan)
    random = np.full((1, len(coverages), len(METRICS), 3), np.nan)
    off = np.full((len(coverages), len(METRICS)), np.nan)
    parts, why = np.full((*shape, len(PARTS), 3), np.nan), np.full((*shape, len(PARTS)), "", dtype=object)
    scale = np.full((*shape, 3), np.nan)
    for column, whole in enumerate(coverages.values()):
        found = _Coverage(rewards, truth, whole, pool, gamma, config, dynamics)
        off[column] = [found.off_support.get(metric, 0.0) for metric in METRICS]
        for m, metric in enumerate(METRICS):
            random[0, column, m] = found.distance(metric, RANDOM).array
        for row, name in enumerate(rewards):
            for m, metric in enumerate(METRICS):
                estimate = found.distance(metric, name)
                value[row, 0, column, m], reason[row, 0, column, m] = estimate.array, estimate.reason
                for t, times in enumerate(TIMES):
                    shaped[t, row, 0, column, m] = found.distance(metric, calibration(name, times)).array
            slope, shares = found.decomposition(name)
            scale[row, 0, column] = slope.array
            for p, part in enumerate(PARTS):
                parts[row, 0, column, p], why[row, 0, column, p] = shares[part].array, shares[part].reason
    labels = {"rewards": list(rewards), "references": [TRUE], "coverages": list(coverages)}
    group = distance_group(
        value,
        reason,
        **labels,
        metrics=METRICS,
        exact=False,
        shaped=shaped[0],
        shaped_10=shaped[1],
        random=random,
        off_support=off,
    )
    group = group.assign_attrs(
        gamma=gamma,
        states="the states of all coverages together",
        actions=IN_SPACE if space is not None else IN_DATA,
        expectation=_expectation(dynamics),
        calibration=CALIBRATION,
        samples=config.samples,
        steps=config.steps,
        features=config.features,
        minimal_features=config.minimal_features,
        simulated=config.simulated,
        horizon=rolled_steps(gamma, config),
        rollouts=config.rollouts,
        estimator=config.estimator,
        confidence=config.confidence,
        resamples=config.resamples,
        seed=config.seed,
    )
    return {"distance": group, "decomposition": decomposition_group(parts, why, scale, **labels, parts=PARTS)}


IN_SPACE = "uniform over the action space"
IN_DATA = "uniform over the range of the actions in the data: neither rewards nor dynamics state an action space"


def calibration(name: str, times: int) -> str:
    """The name of the truth shaped with `times` the potential of a reward."""
    return f"{SHAPED}: {times} × {name}"


CALIBRATION = (
    "the truth shaped by the reward's own potential, which is the V of a recovered reward; for a reward that shows "
    "none, by a random network with the standard deviation of the reward's value under uniform actions"
)


class _Bootstrap(TypedDict):
    confidence: float
    resamples: int
    seed: int


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
        self._whole, self._config, self._gamma = whole, config, gamma
        self.off_support: dict[str, float] = {}
        self._names = list(rewards)
        measured = {name: reward_terms(name, reward) for name, reward in rewards.items()}
        measured[REFERENCE] = reward_terms("the reference", truth)
        rng = np.random.default_rng(config.seed)
        steps = whole.rows(np.sort(rng.choice(len(whole), size=min(config.samples, len(whole)), replace=False)))
        every, sampler = _actions(_action_space(rewards, truth, dynamics), whole)
        count = None if pool.ndim > 1 else int(max(pool.max(), whole.next_observations.max())) + 1
        states = pool[rng.integers(len(pool), size=config.states)]
        drawn = sampler(config.actions, rng)
        actions = drawn if every is None else every
        # Discrete states have an indicator each, so that no potential needs to be read off a reward.
        pairs = (rng.integers(len(whole), size=REFERENCES), rng.integers(len(drawn), size=REFERENCES))
        references = None if count is not None else (whole.observations[pairs[0]], drawn[pairs[1]])

        units = {RANDOM: _random_reward(whole, pool, config.seed)}
        units |= {
            _unit(name): _shaping(name, measured[name], pool, count, gamma, references, config.seed)
            for name in self._names
        }
        self._terms = measured | units
        self._starc: dict[str, StarcForms] = {}
        self._dard: DardForms | None = None
        spread = dict.fromkeys(self._names, 1.0)
        if dynamics is not None:
            step = Dynamics(dynamics.name, _step(dynamics), dynamics.deterministic)
            under = sampler if every is None else every
            self._starc = self._starc_forms(measured, units, step, under, count, references)
            spread = {
                name: float(self._starc[name].value_spread[:2].max())  # the truth's too, which must fit as well
                for name in self._names
                if measured[name].potential(gamma, references) is None
            }
            self._dard = dard_forms(self._terms, steps, gamma, step, actions=under, draws=config.draws, seed=rng)
            self.off_support["dard"] = self._dard.off_support
        self._epic = epic_forms(self._terms, steps, gamma, actions=actions, states=states, exhaustive=every is not None)
        picks = rng.integers(0, (len(steps), len(actions), len(states)), size=(2048, 3)).T
        self.off_support["epic"] = off_support(whole, steps.observations[picks[0]], actions[picks[1]], states[picks[2]])
        self._size = {name: spread.get(name, 1.0) for name in self._names}
        self._calibrate()

    def _starc_forms(
        self,
        measured: Mapping[str, RewardTerms],
        units: Mapping[str, RewardTerms],
        dynamics: Dynamics,
        actions: Array | Callable[[int, np.random.Generator], Array],
        count: int | None,
        references: tuple[Array, Array] | None,
    ) -> dict[str, StarcForms]:
        """The forms of each reward beside the truth: no figure depends on what else is compared."""
        c = self._config
        steps = _whole_episodes(self._whole, c.steps, c.seed)
        policy = follow(steps, dynamics, self._gamma, actions=actions, count=c.simulated, seed=c.seed)
        successors = draw_successors(steps, dynamics, draws=c.draws)
        self.off_support["starc_val"] = off_support(
            self._whole, policy.observations, policy.actions[:, 0], policy.after[:, 0]
        )
        seen = np.concatenate([steps.observations, policy.observations])
        features = state_features(seen, size=c.features, count=count, seed=c.seed)
        minimal = state_features(steps.observations, size=c.minimal_features, count=count, seed=c.seed)
        rewards = {**measured, **units}
        # One step is enough where features can show every value: discrete states have an indicator each.
        horizon = None if c.estimator == "rollouts" else 1 if count is not None else rolled_steps(self._gamma, c)
        rollouts = roll_out(
            rewards,
            steps if horizon == 1 else evenly(steps, c.samples, c.seed),
            self._gamma,
            dynamics,
            actions=actions,
            horizon=horizon,
            rollouts=c.rollouts,
            seed=c.seed,
        )
        sample = starc_sample(
            rewards,
            successors,
            policy,
            rollouts,
            self._gamma,
            features,
            sizes=None if count is not None else SIZES,
            minimal=minimal,
            references=references,
        )
        found = {name: sample.forms([name, REFERENCE], [_unit(name)]) for name in self._names}
        found[RANDOM] = sample.forms([REFERENCE], [RANDOM])
        return found

    def _calibrate(self) -> None:
        """Add the forms of the shaped truths: those of the truth and of the shaping alone, since forms are linear."""
        for name in self._names:
            for times in TIMES:
                more = (REFERENCE, _unit(name), times * self._size[name], calibration(name, times))
                self._epic = self._epic.plus(*more)
                if self._dard is not None:
                    self._dard, self._starc[name] = self._dard.plus(*more), self._starc[name].plus(*more)

    def distance(self, metric: str, name: str) -> Estimate:
        """The distance from a reward to the truth."""
        c = self._config
        if name == SHAPED:  # of the first reward
            name = calibration(self._names[0], 1)
        options: _Bootstrap = {"confidence": c.confidence, "resamples": c.resamples, "seed": c.seed}
        if metric == "epic":
            return self._epic.distance(name, REFERENCE, **options)
        if metric == "erc":
            return episode_return_distance(self._paid(name), self._paid(REFERENCE), self._whole.lengths, **options)
        if self._dard is None:
            return Estimate.undefined(NO_DYNAMICS)
        if metric == "dard":
            return self._dard.distance(name, REFERENCE, **options)
        forms = next(forms for forms in self._starc.values() if name in forms.names)
        return forms.distance(cast(Measure, metric), name, REFERENCE, **options)

    def _paid(self, name: str) -> Floats:
        """A reward, or a shaped truth, at all steps of the coverage."""
        t = self._whole
        batch = (t.observations, t.actions, t.next_observations, t.terminated)
        for reward in self._names:
            for times in TIMES:
                if name == calibration(reward, times):
                    unit = times * self._size[reward] * self._terms[_unit(reward)](*batch)
                    return self._terms[REFERENCE](*batch) + unit
        return self._terms[name](*batch)

    def decomposition(self, name: str) -> tuple[Estimate, dict[str, Estimate]]:
        """The scale λ and the share of the variance of each part."""
        if self._dard is None:
            return Estimate.undefined(NO_DYNAMICS), dict.fromkeys(PARTS, Estimate.undefined(NO_DYNAMICS))
        c = self._config
        found = decompose_sample(
            self._starc[name], name, REFERENCE, confidence=c.confidence, resamples=c.resamples, seed=c.seed
        )
        return found.scale, found.shares


def _whole_episodes(whole: Transitions, most: int, seed: int) -> Transitions:
    """All steps, or whole episodes in random order until they have `most` steps; always at least one."""
    if len(whole) <= most:
        return whole
    order = np.random.default_rng(seed).permutation(len(whole.lengths))
    fits = np.cumsum(whole.lengths[order]) <= most
    return whole.episodes(sorted((order[fits] if fits.any() else order[:1]).tolist()))


def rolled_steps(gamma: float, config: DistanceConfig) -> int:
    """The steps of VAL's rollouts: as stated, or a share of the steps 1/(1 − γ) that a discounted sum reaches."""
    return max(1, round(REACH / (1 - gamma))) if config.horizon is None else config.horizon


def evenly(steps: Transitions, count: int, seed: int) -> Transitions:
    """At most `count` steps at equal distances from each other, so that each part of each episode has its share."""
    if len(steps) <= count:
        return steps
    first = np.random.default_rng(seed).random()
    return steps.rows(((np.arange(count) + first) * (len(steps) / count)).astype(np.int64))


def _unit(name: str) -> str:
    return f"shaping at the scale of {name}"


def reward_terms(name: str, reward: Reward) -> RewardTerms:
    """A reward as a sum of terms in s, (s, a) and s′, which makes its canonical forms cheap.

    Where the MDP ended, the term in s′ is 0. A per-transition reward is then Q(s, a): r plus its `tail` γ·V_abs.
    """
    if isinstance(reward, TrueReward) and reward.of_pair:
        return RewardTerms(name, pair=lambda s, a: reward(s, a, s, np.zeros(len(s), dtype=bool)))
    if isinstance(reward, DistilledReward):
        g, shaped = reward.unshaped, reward.h is not None
        return RewardTerms(
            name,
            pair=None if g.form == "transition" else lambda s, a: g(s, a, s, np.zeros(len(s), dtype=bool)),
            joint=g if g.form == "transition" else None,
            state=(lambda s: -reward.potential(s)) if shaped else None,
            successor=(lambda s: reward.gamma * reward.potential(s)) if shaped else None,
        )
    if not isinstance(reward, RecoveredReward):
        return RewardTerms(name, joint=reward)
    if reward.kind == "marginal":
        return RewardTerms(name, pair=lambda s, a: reward(s, a, s, np.zeros(len(s), dtype=bool)))
    soft_q = reward.soft_q
    of = reward.observation_space, reward.action_space

    def every(states: Array, actions: Array) -> Floats:
        assert isinstance(soft_q, DiscreteSoftQ)
        return soft_q.table(plain_rows(of[0], states))[:, to_plain_actions(of[1], actions)]

    table = every if isinstance(soft_q, DiscreteSoftQ) else None
    value = _remembered(reward.v)
    return RewardTerms(name, pair=reward.q, successor=lambda s: -reward.gamma * value(s), table=table)


def _remembered(function: Callable[[Array], Floats]) -> Callable[[Array], Floats]:
    """`function`, which keeps its last values: a reward and its calibration ask for V of the same states."""
    last: dict[bytes, Floats] = {}

    def values(states: Array) -> Floats:
        key = hashlib.sha256(states.tobytes()).digest()
        if key not in last:
            if len(last) == REMEMBERED:
                del last[next(iter(last))]
            last[key] = function(states)
        return last[key]

    return values


def _shaping(
    name: str,
    reward: RewardTerms,
    pool: Array,
    count: int | None,
    gamma: float,
    references: tuple[Array, Array] | None,
    seed: int,
) -> RewardTerms:
    """γΦ(s′) − Φ(s), with the reward's own Φ, or a hidden random network of standard deviation 1 if it shows none."""
    potential = reward.potential(gamma, references)
    hidden = potential is None
    if potential is None:
        of_states = Standardised.by(pool, count=count)
        network = random_network(of_states(pool), seed=seed + 1)

        def potential(s: Array) -> Floats:
            return network(of_states(s))

    return RewardTerms(
        _unit(name), state=lambda s: -potential(s), successor=lambda s: gamma * potential(s), hidden=hidden
    )


def _random_reward(steps: Transitions, pool: Array, seed: int) -> RewardTerms:
    """A random network of (s, a), independent of the truth."""
    of_states = Standardised.by(
        pool, count=None if pool.ndim > 1 else int(max(pool.max(), steps.next_observations.max())) + 1
    )
    first = min(int(steps.actions.min()), 0) if _is_discrete(steps.actions) else 0  # an indicator counts from 0
    of_actions = Standardised.by(steps.actions - first if first else steps.actions)

    def joined(s: Array, a: Array) -> Floats:
        if of_actions.count is not None:
            a = np.clip(a.astype(np.int64) - first, 0, of_actions.count - 1)
        return np.concatenate([of_states(s), of_actions(a)], axis=1)

    network = random_network(joined(steps.observations, steps.actions), seed=seed + 2)
    return RewardTerms(RANDOM, pair=lambda s, a: network(joined(s, a)))


def _action_space(
    rewards: Mapping[str, Reward], truth: Reward, dynamics: Simulator | LearnedDynamics | None
) -> Space | None:
    """The action space of d_A: that of the rewards, else that of the truth, else that of the dynamics, else None.

    It does not depend on which kinds of reward are compared, so that no figure does.

    Raises ValueError where two rewards have different ones.
    """
    known = {name: reward.action_space for name, reward in rewards.items() if isinstance(reward, RewardModel)}
    if isinstance(truth, TrueReward) and truth.action_space is not None:
        known[REFERENCE] = truth.action_space
    if not known:
        if isinstance(dynamics, LearnedSimulator) and dynamics.action_space is None:
            return dynamics.model.action_space
        own: Space | None = getattr(dynamics, "action_space", None)
        return own
    first, space = next(iter(known.items()))
    for name, other in known.items():
        if not _same_actions(space, other):
            raise ValueError(
                f"The distances draw actions uniformly from one action space; '{first}' has {space}, '{name}' has "
                f"{other}. Compare rewards of one environment."
            )
    return space


def _same_actions(one: Space, other: Space) -> bool:
    if isinstance(one, spaces.Box) and isinstance(other, spaces.Box):
        ours, theirs = (np.concatenate([s.low.ravel(), s.high.ravel()]) for s in (one, other))
        return ours.shape == theirs.shape and np.allclose(ours, theirs, rtol=1e-6, atol=0)
    return same_units(one, other)


def _is_discrete(actions: Array) -> bool:
    return actions.ndim == 1 and np.issubdtype(actions.dtype, np.integer)


def _actions(
    space: Space | None, steps: Transitions
) -> tuple[Array | None, Callable[[int, np.random.Generator], Array]]:
    """All actions of a finite space, else None; and a function that draws uniformly from the action space."""
    dtype, shape = steps.actions.dtype, steps.actions.shape[1:]
    if space is not None and (every := every_action(space)) is not None:
        return every, lambda n, rng: every[rng.integers(len(every), size=n)]
    low, high = steps.actions.min(axis=0), steps.actions.max(axis=0)
    if space is None and _is_discrete(steps.actions):
        every = np.arange(min(int(low), 0), int(high) + 1)
        return every, lambda n, rng: every[rng.integers(len(every), size=n)]
    if space is None and dtype.kind in "iu":
        return None, lambda n, rng: rng.integers(low, high, size=(n, *shape), endpoint=True).astype(dtype)
    if isinstance(space, spaces.Box) and space.is_bounded():
        low, high = space.low.reshape(shape), space.high.reshape(shape)
    return None, lambda n, rng: rng.uniform(low, high, (n, *shape)).astype(dtype)


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
        if _is_discrete(other.observations) and min(other.observations.min(), other.next_observations.min()) < 0:
            raise ValueError(
                f"Distances count discrete observations from 0 or more; coverage '{name}' has "
                f"{min(other.observations.min(), other.next_observations.min())}. Shift them: a Discrete with start=0."
            )
    for name, reward in rewards.items():
        if (
            isinstance(reward, RewardModel)
            and isinstance(reward.observation_space, spaces.Box | spaces.Discrete)
            and reward.observation_space.shape != steps.observations.shape[1:]
        ):
            raise ValueError(
                f"Reward '{name}' takes observations of shape {reward.observation_space.shape}; coverage '{first}' has "
                f"{steps.observations.shape[1:]}. Use transitions of the environment it was learned in."
            )
