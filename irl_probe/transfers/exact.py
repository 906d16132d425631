"""Transfer between tabular MDPs: policies are exact optima and returns are exact; nothing is learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr

from irl_probe._names import CARRIED_OVER, RANDOM, TRUE_REWARD
from irl_probe._types import Floats
from irl_probe.envs import TabularMDP, Variant
from irl_probe.metrics import tabular
from irl_probe.metrics.tabular.values import expected_reward, optimal_actions, policy_value, uniform_policy
from irl_probe.rewards import Reward, RewardModel
from irl_probe.rewards.protocol import check_values
from irl_probe.transfers.config import Form, TransferConfig
from irl_probe.transfers.learned import group_of

Policies = tuple[Floats, Floats]  # greedy (ties uniform) and soft-optimal, (S, A) each


def transfer_exactly(
    rewards: Mapping[str, Sequence[Reward]], variants: Sequence[Variant], base: TabularMDP, config: TransferConfig
) -> xr.Dataset:
    """`/transfer` with exact discounted returns of greedy policies and both regrets.

    The policy carried over is the optimal one of the (first) reward in the unchanged MDP, which for the marginal
    reward of a soft Q is the policy of that Q (IQ-Learn, Lemma 3.1). Distilled rewards are exact projections on
    uniform (s, a): r(s) is the mean of r(s, a) over a, r(s, a) the mean over s′, r(s, a, s′) the reward itself, and
    disentangled is `metrics.tabular.state_only`. Where its `ambiguity` is more than 1, which the attribute
    `disentangled_ambiguity` tells, other g fit as well and may have other regrets.
    """
    count = len(next(iter(rewards.values())))
    results: dict[str, Floats] = {}  # policy → (3, variant, seed): return, greedy regret, soft regret
    for seed in range(count):
        tables = {name: _table(each[seed], base, name) for name, each in rewards.items()}
        first = next(iter(rewards.values()))[seed]
        own = first.temperature if isinstance(first, RewardModel) else None
        alpha = float(own or config.temperature)
        original = next(iter(tables.values()))
        carried = _policies(original, base, alpha)
        tables |= {form: _distilled(form, original, base) for form in config.forms}
        for v, variant in enumerate(variants):
            mdp = variant.mdp
            assert mdp is not None  # all variants of a tabular MDP have one
            chance = uniform_policy(mdp.transition)
            arms = {RANDOM: (chance, chance), CARRIED_OVER: carried}
            arms |= {name: _policies(table, mdp, alpha) for name, table in tables.items()}
            arms |= {TRUE_REWARD: _policies(mdp.reward, mdp, alpha)}
            for name, policies in arms.items():
                cells = results.setdefault(name, np.full((3, len(variants), count), np.nan))
                cells[:, v, seed] = _judged(mdp, policies, alpha)
    stacked = np.stack(list(results.values()), axis=2)  # (3, variant, policy, seed) with the seed last
    stacked = np.moveaxis(stacked, 3, -1)
    group = group_of(stacked[0], list(results), variants, config, regrets=stacked[1:].mean(axis=-1), exact=True)
    if "disentangled" in config.forms:
        nothing = np.zeros(base.transition.shape[:2])
        found = tabular.state_only(nothing, base.transition, base.gamma)  # the same for every reward
        group.attrs["disentangled_ambiguity"] = found.ambiguity
    return group


def _table(reward: Reward, mdp: TabularMDP, name: str) -> Floats:
    """R̂(s, a, s′) of every transition, (S, A, S)."""
    s, a, t = (index.ravel() for index in np.indices(mdp.transition.shape))
    values = check_values(reward(s, a, t, np.zeros(len(s), dtype=bool)), len(s), name=name)
    return values.reshape(mdp.transition.shape)


def _distilled(form: Form, table: Floats, mdp: TabularMDP) -> Floats:
    """The projection of R̂ on a form, as (S,), (S, A) or (S, A, S)."""
    if form == "r(s, a, s′)":
        return table
    marginal = expected_reward(table, mdp.transition)
    if form == "r(s, a)":
        return marginal
    if form == "r(s)":
        return np.asarray(marginal.mean(axis=1))
    return tabular.state_only(marginal, mdp.transition, mdp.gamma).reward


def _policies(reward: Floats, mdp: TabularMDP, alpha: float) -> Policies:
    spread = np.broadcast_to(reward.reshape(reward.shape + (1,) * (3 - reward.ndim)), mdp.transition.shape)
    expected = expected_reward(spread, mdp.transition)
    best = optimal_actions(expected, mdp.transition, mdp.gamma)
    soft = tabular.soft_policy(tabular.soft_q(expected, mdp.transition, mdp.gamma, alpha), alpha)
    return best / best.sum(axis=1, keepdims=True), soft


def _judged(mdp: TabularMDP, policies: Policies, alpha: float) -> tuple[float, float, float]:
    """Discounted return and regret of the greedy policy, and soft regret of the soft-optimal one."""
    greedy, soft = policies
    r = expected_reward(mdp.reward, mdp.transition)
    value = float(mdp.initial @ policy_value(r, mdp.transition, mdp.gamma, greedy))
    at = (mdp.transition, mdp.gamma, mdp.initial)
    return (
        value,
        tabular.policy_regret(mdp.reward, greedy, *at),
        tabular.soft_policy_regret(mdp.reward, soft, *at, temperature=alpha),
    )
