"""The distilled forms of a reward: compare all six, or distil one reward by name."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import xarray as xr

from irl_probe._config import as_seed
from irl_probe._names import RECOVERED
from irl_probe.comparison.verb import CompareConfig, compare
from irl_probe.demos import load_demos
from irl_probe.envs import make_env
from irl_probe.pipeline.coverages import coverages, noisy_rollouts, off_data
from irl_probe.results import to_dataframe
from irl_probe.rewards import DistilConfig, DistilledReward, RecoveredReward, Reward, distil, distil_forms, load_reward

SHARE = "explained_variance"


def compare_forms(
    reward: RecoveredReward,
    env_id: str,
    config: DistilConfig | None = None,
    *,
    episodes: int = 20,
    distances: bool = True,
    seed: int = 0,
) -> xr.DataTree:
    """`compare` a recovered reward and its six distilled forms with the true reward.

    All are fitted to, and compared on, the `coverages` of the environment. The share of the variance that a form
    explains comes from held-out episodes, the other figures from all episodes. A form that explains less of the
    recovered reward can be nearer to the truth.

    Args:
        reward: the reward to distil.
        env_id: the environment.
        config: settings of the fits; its form and shaping are not used, because all forms are fitted.
        episodes: number of episodes of each rollout.
        distances: also compute EPIC, DARD, STARC and ERC, where the true reward is known as a function.
        seed: seed of the rollouts and intervals.

    Returns results with the attribute `explained_variance`: form → coverage → estimate, low, high, as JSON. The table
    is `forms_table`. Raises as `coverages`, `distil` and `compare` do.
    """
    seed = as_seed(seed)
    found = coverages(env_id, episodes=episodes, seed=seed)
    forms = distil_forms(reward, config or DistilConfig(seed=seed), transitions=found)
    rewards: dict[str, Reward] = {RECOVERED: reward, **forms}
    off = off_data(env_id, rewards.values(), seed=seed)
    tree = compare(
        rewards,
        transitions=found,
        config=CompareConfig(seed=seed),
        distances=off.distances if distances else None,
        truth=off.truth,
        dynamics=off.dynamics,
    )
    shares = {name: form.figures[SHARE] for name, form in forms.items()}
    tree.attrs |= {"title": f"{env_id}: distilled forms", "env_id": env_id, "seed": seed, SHARE: json.dumps(shares)}
    return tree


def distil_named(
    name: str, demos: Sequence[str], env_id: str | None, config: DistilConfig, *, episodes: int = 30
) -> DistilledReward:
    """`distil` a reward by name, on demonstrations by name, on `noisy_rollouts` of the reward's own policy, or on both.

    Args:
        name: folder, or id of a shipped reward.
        demos: bundled names or files.
        env_id: the environment of the rollouts; None makes none.
        config: settings of the fit, and the seed of the rollouts.
        episodes: number of rollouts.

    Raises ValueError where there are no steps to fit, or no policy to roll out, and as the verbs do.
    """
    if not demos and env_id is None:
        raise ValueError(
            "A reward is distilled on steps: name demonstrations, or an environment to roll out in (--env)."
        )
    reward = load_reward(name)
    stems = [Path(each).stem for each in demos]
    labels = stems if len(set(stems)) == len(stems) else demos
    found = {label: load_demos(each).transitions for label, each in zip(labels, demos, strict=True)}
    if env_id is not None:
        if not isinstance(reward, RecoveredReward):
            raise ValueError(f"Only a recovered reward has a policy to roll out; {name} is distilled. Leave --env out.")
        env = make_env(env_id)
        try:
            reward.check_spaces(env.observation_space, env.action_space)
            rolled = noisy_rollouts(reward.policy, env, episodes=episodes, seed=config.seed)
        finally:
            env.close()
        found[f"own policy in {env_id}"] = rolled
    return distil(reward, config, transitions=found)


def forms_table(tree: xr.DataTree, coverage: str = "mixture") -> str:
    """A Markdown table, one line for each form: the share explained on held-out episodes, then figures on a coverage.

    Pearson with the true reward per step, and per episode with the length partialled out; then the distances. A figure
    that is undefined for every form is left out. Raises ValueError unless the results come from `compare_forms`.
    """
    if SHARE not in tree.attrs:
        raise ValueError(f"The table needs results of compare_forms, which have the attribute '{SHARE}'; these do not.")
    shares = json.loads(tree.attrs[SHARE])
    table = to_dataframe(tree)
    here = table[table["coverage"] == coverage]
    columns = {}
    for level, control in (("step", "none"), ("episode", "length")):
        picked = here[(here["metric"] == "pearson") & (here["level"] == level) & (here["control"] == control)]
        columns[f"Pearson, {level}"] = _column(picked)
    for metric, rows in here[here["group"] == "distance"].groupby("metric", sort=False):
        columns[str(metric)] = _column(rows)
    names = (RECOVERED, *shares)
    columns = {head: column for head, column in columns.items() if any(column.get(name, "–") != "–" for name in names)}
    lines = [f"| reward | explained | {' | '.join(columns)} |", f"|---|---|{'---|' * len(columns)}"]
    for name in names:
        share = shares.get(name, {})
        part = share.get("all", next(iter(share.values()), {"estimate": 1.0}))
        cells = [_shown(*(part.get(bound) for bound in ("estimate", "low", "high")))]
        cells += [column.get(name, "–") for column in columns.values()]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _column(rows: pd.DataFrame) -> dict[str, str]:
    return {row.reward: _shown(row.estimate, row.low, row.high) for row in rows.itertuples()}


def _shown(estimate: float | None, low: float | None, high: float | None) -> str:
    if estimate is None or estimate != estimate:
        return "–"
    interval = "" if low is None or high is None or low != low or low == high else f" [{low:.2f}, {high:.2f}]"
    return f"{estimate:.2f}{interval}"
