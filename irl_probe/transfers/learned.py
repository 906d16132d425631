"""Transfer by learning: policies trained in each variant, and the true returns that they reach there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from rich.console import Console

from irl_probe._names import CARRIED_OVER, RANDOM, TRUE_REWARD
from irl_probe._policies import Policy
from irl_probe._types import Floats
from irl_probe.demos import record_demos
from irl_probe.envs import UNCHANGED, Variant
from irl_probe.learn import Evaluation, RLConfig, evaluate, random_policy, train_on_reward
from irl_probe.metrics.bootstrap import LEAST_SEEDS, draw_counts, iqm, resample_counts, seed_interval
from irl_probe.results import transfer_group
from irl_probe.retraining import RetrainConfig, retrain
from irl_probe.retraining.cells import (
    Cell,
    Fingerprint,
    cell_folder,
    environment_fingerprint,
    policy_fingerprint,
    reward_fingerprint,
)
from irl_probe.rewards import DistilledReward, Reward, RewardModel, distil
from irl_probe.transfers.config import DISTILLED, Form, TransferConfig
from irl_probe.transitions import Transitions

NO_SCALE = "Trained on the true reward a policy is not better here than random actions: there is no scale."
Coverage = Mapping[str, Transitions]
NOISE = {"imitator": 0.0, "imitator, 30 % random actions": 0.3, "random": 1.0}
REGRETS = ("regret_greedy", "regret_soft")
EVALUATION_SEED = 10_000  # far from the seeds of training


@dataclass
class Source:
    """What is carried over for one seed: rewards, a policy, and distilled rewards, which are fitted when needed."""

    rewards: Mapping[str, Reward]
    policy: Policy | None
    unchanged: Variant
    config: TransferConfig
    seed: int
    given: Coverage | None = None
    _distilled: dict[str, DistilledReward] = field(default_factory=dict)
    _coverage: Coverage | None = None

    @property
    def first(self) -> Reward:
        """The reward that is distilled."""
        return next(iter(self.rewards.values()))

    def coverage(self) -> Coverage:
        """The steps to distil on: the given ones, or else steps recorded in the unchanged environment."""
        if self.given is not None:
            return self.given
        if self._coverage is None:
            env = self.unchanged.make()
            policy = self.policy or random_policy(env.action_space, self.seed)
            chosen = NOISE if self.policy is not None else {"random": 1.0}
            episodes = self.config.coverage_episodes
            self._coverage = {
                name: record_demos(policy, env, episodes, seed=self.seed, epsilon=e).transitions
                for name, e in chosen.items()
            }
            env.close()
        return self._coverage

    def distilled(self, form: Form) -> DistilledReward:
        """The first reward, distilled into this form; of the disentangled form g alone."""
        if form not in self._distilled:
            name, shaping = DISTILLED[form]
            settings = replace(self.config.distil, form=name, shaping=shaping, seed=self.seed)
            env = self.unchanged.make()
            gamma = self.first.gamma if isinstance(self.first, RewardModel) else self.config.learner.gamma
            settings = replace(settings, gamma=settings.gamma if settings.gamma is not None else gamma)
            spaces = env.observation_space, env.action_space
            fitted = distil(self.first, settings, transitions=self.coverage(), spaces=spaces)
            env.close()
            self._distilled[form] = fitted.unshaped
        return self._distilled[form]

    def fingerprints(self) -> dict[str, Fingerprint]:
        """Fingerprints of the rewards and the policy carried over, by name; each form has that of the first reward."""
        env = self.unchanged.make()
        try:
            found = {name: reward_fingerprint(reward, env) for name, reward in self.rewards.items()}
            if self.policy is not None:
                found[CARRIED_OVER] = policy_fingerprint(self.policy, env)
            return found | dict.fromkeys(self.config.forms, next(iter(found.values())))
        finally:
            env.close()


def transfer_by_learning(
    sources: Sequence[Source], variants: Sequence[Variant], config: TransferConfig, *, out: Path | None, progress: bool
) -> xr.Dataset:
    """`/transfer` with the mean return over episodes of each policy, in each variant, for each seed."""
    console = Console(stderr=True, quiet=not progress)
    names = [
        RANDOM,
        *([CARRIED_OVER] if sources[0].policy is not None else []),
        *sources[0].rewards,
        *config.forms,
        TRUE_REWARD,
    ]
    returns = np.full((len(variants), len(names), len(sources)), np.nan)
    environments = {} if out is None else {v.name: _environment(v) for v in variants if v.function is not None}
    for s, source in enumerate(sources):
        fingerprints = {} if out is None else source.fingerprints()
        for v, variant in enumerate(variants):
            for p, name in enumerate(names):
                made_from = _made_from(source, variant, name)
                if variant.name in environments:
                    made_from["environment"] = environments[variant.name]
                if name in fingerprints:
                    made_from["carried" if name == CARRIED_OVER else "reward"] = fingerprints[name]
                cell = Cell(cell_folder(out, variant.name, name, seed=source.seed), made_from)
                result = cell.result(lambda: _compute(source, variant, name, cell))  # noqa: B023  # called at once
                returns[v, p, s] = result["return"]
                console.print(
                    f"{variant.name}, {name}, seed {source.seed}: {result['return']:.2f}", highlight=False, style="dim"
                )
    return group_of(returns, names, variants, config)


def _environment(variant: Variant) -> dict[str, Fingerprint]:
    """The fingerprint of a variant that a function makes, which its name does not tell from others."""
    env = variant.make()
    try:
        return environment_fingerprint(env)
    finally:
        env.close()


def _made_from(source: Source, variant: Variant, name: str) -> dict[str, Any]:
    """Everything that a cell's result depends on, except the reward and the policy themselves."""
    config = source.config
    made: dict[str, Any] = {"variant": variant.id, "options": repr(dict(variant.options)), "policy": name}
    made |= {"seed": source.seed, "episodes": config.episodes}
    if name not in (RANDOM, CARRIED_OVER):
        learner = (config.true_learner or config.learner) if name == TRUE_REWARD else config.learner
        made["learner"] = asdict(_for_seed(learner, source.seed))
    if name in config.forms:
        made["distil"] = asdict(config.distil)
        given = source.given
        made["coverage"] = (
            {"episodes": config.coverage_episodes}
            if given is None
            else {key: steps.content_hash()[:16] for key, steps in given.items()}
        )
    return made


def _for_seed(learner: RLConfig, seed: int) -> RLConfig:
    """The settings with this seed, without evaluations during training unless they are set."""
    return replace(learner, seed=seed, evaluate_every=learner.evaluate_every or 0)


def _compute(source: Source, variant: Variant, name: str, cell: Cell) -> dict[str, Any]:
    """Train the policy, unless it needs no training, and evaluate it in the variant."""
    config = source.config
    more: dict[str, Any] = {}
    if name == RANDOM:
        env = variant.make()
        policy: Policy = random_policy(env.action_space, source.seed)
        env.close()
    elif name == CARRIED_OVER:
        assert source.policy is not None
        policy = source.policy
    elif name == TRUE_REWARD:
        learner = _for_seed(config.true_learner or config.learner, source.seed)
        policy = train_on_reward(variant.make(), learner, out=cell.run, resume=cell.resume(), progress=False).policy
    else:
        reward = source.rewards[name] if name in source.rewards else source.distilled(name)  # type: ignore[arg-type]  # a name that is not a reward's is a form's
        if isinstance(reward, DistilledReward) and name not in source.rewards:
            more["explained_variance"] = reward.figures.get("explained_variance")
        settings = RetrainConfig(_for_seed(config.learner, source.seed))
        policy = retrain(
            reward, settings, env=variant.make(), out=cell.run, resume=cell.resume(), progress=False
        ).policy
    found: Evaluation = evaluate(policy, variant.make, episodes=config.episodes, seed=EVALUATION_SEED + source.seed)
    return {"return": float(found.returns.mean()), "returns": found.returns.tolist(), **more}


def group_of(
    returns: Floats,
    policies: Sequence[str],
    variants: Sequence[Variant],
    config: TransferConfig,
    *,
    regrets: Floats | None = None,
    exact: bool = False,
) -> xr.Dataset:
    """The group from returns (variant, policy, seed) and, if these are exact, regrets (2, variant, policy).

    The value of a policy is v = (m − m₀)/(m₁ − m₀), with m its mean over seeds, m₀ that of random actions and m₁ that
    of training on the true reward, whose values are 0 and 1 by definition. `overall` is the interquartile mean over
    changed variants and seeds, each seed scaled by its variant's m₀ and m₁; with one changed variant it is the value
    there.

    Intervals are over seeds (`metrics.seed_interval`). The seeds of every policy are resampled on their own, also
    those of random actions and of the true reward. Without an interval are fewer than three seeds, unless the figures
    are exact and of one seed.
    """
    count = returns.shape[2]
    sure = exact and count == 1
    mean, value = (np.full((*returns.shape[:2], 3), np.nan) for _ in range(2))
    reason = np.full(returns.shape[:2], "", dtype=object)
    rng = np.random.default_rng(0)
    low, high = policies.index(RANDOM), policies.index(TRUE_REWARD)
    for v in range(len(variants)):
        counts = np.stack([resample_counts(count, config.resamples, rng) for _ in policies], axis=1)
        means = (counts * returns[v]).mean(axis=-1)  # (1 + resamples, policy)
        scale = means[0, high] > means[0, low]
        scaled = _on_scale(means, means[:, [low]], means[:, [high]]) if scale else means
        for p in range(len(policies)):
            mean[v, p] = seed_interval(means[:, p], counts[1:, [p]], config.confidence, seeds=count).array
            if not scale:
                reason[v, p] = NO_SCALE
            elif p in (low, high) and count >= LEAST_SEEDS:
                value[v, p] = float(p == high)
            else:
                three = counts[1:, [low, high, p]].reshape(config.resamples, 1, -1)
                found = seed_interval(scaled[:, p], three, config.confidence, seeds=count)
                value[v, p], reason[v, p] = found.array, "" if sure else found.reason
    if sure:
        mean[:], value[:] = mean[..., :1], value[..., :1]
    return transfer_group(
        returns,
        variants=[v.name for v in variants],
        policies=policies,
        seeds=config.seeds[:count],
        mean=mean,
        value=value,
        reason=reason,
        parameter=[v.parameter for v in variants],
        factor=[v.factor for v in variants],
        overall=_overall(returns, value, low, high, variants, config, sure=sure),
        regret_greedy=None if regrets is None else regrets[0],
        regret_soft=None if regrets is None else regrets[1],
        exact=exact,
    )


def with_intervals(group: xr.Dataset, config: TransferConfig | None = None) -> xr.Dataset:
    """`/transfer` with every figure made again from its single returns, such as that of an older file.

    Only `confidence` and `resamples` of the config are used. Raises ValueError if the group holds no single returns.
    """
    if "return_mean" not in group:
        raise ValueError("Intervals over seeds are made from single returns; this group has no 'return_mean'.")
    seeds = tuple(int(seed) for seed in group["seed"].values)
    variants = [
        Variant("", str(parameter), float(factor))
        for parameter, factor in zip(group["parameter"].values, group["factor"].values, strict=True)
    ]
    returns = group["return_mean"].transpose("variant", "policy", "seed").values
    policies = [str(policy) for policy in group["policy"].values]
    exact = bool(group.attrs.get("exact"))
    regrets = [group[name].transpose("variant", "policy").values for name in REGRETS] if REGRETS[0] in group else None
    made = group_of(
        returns,
        policies,
        variants,
        replace(config or TransferConfig(), seeds=seeds),
        regrets=None if regrets is None else np.stack(regrets),
        exact=exact,
    )
    return made.assign_coords(variant=group["variant"].values).assign_attrs(
        {name: value for name, value in group.attrs.items() if name not in ("interval", "exact")}
    )


def _on_scale(scores: Floats, zero: Floats, one: Floats) -> Floats:
    """Scores with `zero` at 0 and `one` at 1, resampled along axis 0, where place 0 is the sample itself.

    x = (score − zero)/(one − zero) is exact for the sample's scale. The resampled ends move it to first order (delta
    method), by −(1 − x)·Δzero/(one − zero) − x·Δone/(one − zero), so that no resample divides by a difference near 0.
    """
    span = one[0] - zero[0]
    x = (scores - zero[0]) / span
    moved: Floats = x - (1 - x) * (zero - zero[0]) / span - x * (one - one[0]) / span
    return moved


def _overall(
    returns: Floats,
    value: Floats,
    low: int,
    high: int,
    variants: Sequence[Variant],
    config: TransferConfig,
    *,
    sure: bool,
) -> Floats | None:
    """`overall`, (policy, 3), over the changed variants that have a scale; None if there are none.

    A resample draws the same seeds in all variants, because a seed's reward is the same one in all of them.
    """
    chosen = [
        v for v, variant in enumerate(variants) if variant.parameter != UNCHANGED and np.isfinite(value[v, high, 0])
    ]
    if not chosen:
        return None
    if len(chosen) == 1:  # one figure, one interval
        only: Floats = value[chosen[0]]
        return only
    part, rng = returns[chosen].swapaxes(0, 1), np.random.default_rng(0)  # (policy, variant, seed)
    count = part.shape[2]
    drawn = rng.integers(count, size=(len(part), config.resamples, 1, count))
    resampled = [np.concatenate([p[None], p[:, d[:, 0]].swapaxes(0, 1)]) for p, d in zip(part, drawn, strict=True)]
    zero, one = (resampled[p].mean(axis=2, keepdims=True) for p in (low, high))
    overall, counts = np.full((len(part), 3), np.nan), draw_counts(drawn)
    for p in range(len(part)):
        scores = _on_scale(resampled[p], zero, one)  # (1 + resamples, variant, seed)
        three = np.concatenate(counts[[low, high, p]], axis=-1)
        replicates = iqm(scores.reshape(len(scores), -1), axis=1)
        overall[p] = seed_interval(replicates, three, config.confidence, seeds=count).array
    overall[low, 0], overall[high, 0] = 0.0, 1.0  # by definition
    if count >= LEAST_SEEDS:
        overall[[low, high]] = overall[[low, high], :1]
    return np.repeat(overall[:, :1], 3, axis=1) if sure else overall
