"""The verdict on a recovered reward: what the figures say in plain words, by rules that the page states.

The rules are thresholds on figures that are in the results; nothing else is judged. See `RULES`.
Warnings are another matter (`irl_probe.verdicts`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import xarray as xr

from irl_probe.verdict_rules import GOOD_SHARE, LENGTH_MARGIN, LENGTH_MATTERS

GOOD, FAIR = GOOD_SHARE, 0.5  # normalised return
STRONG, WEAK = 0.7, 0.3  # absolute correlation
SMALL_REGRET, LARGE_REGRET = 0.05, 0.2
BASELINES = ("true", "constant")
IDEALS = ("exact occupancy",)  # made from what no demonstrations tell: the most that could be reached

RULES: Sequence[str] = (
    f"Imitation and retraining: good from a normalised return of {GOOD:g}, provided the interval does not reach below "
    f"{FAIR:g}; partial from {FAIR:g}; otherwise failed.",
    f"Steps: Pearson at step level is strong from {STRONG:g}, weak below {WEAK:g}, and contrary at or below −{WEAK:g}.",
    f"Episodes: mostly length where the reward's Pearson is within {LENGTH_MARGIN:g} of a constant reward's (up "
    f"to sign, and that at least {LENGTH_MATTERS:g}), where the length-controlled figure is below {WEAK:g} or its "
    "interval reaches 0, or, that being undefined, where a constant reward does as well.",
    f"Regret: small up to {SMALL_REGRET:g}, large above {LARGE_REGRET:g}.",
    "Correlations are judged on the mixture coverage where there is one, else on the first. Among several rewards the "
    "best is the one with the highest normalised return after retraining, then by length-controlled episode Pearson; "
    "one made from exact occupancies is shown beside the others, not judged.",
)

Tone = Literal["good", "caution", "bad", "open", "note"]


@dataclass(frozen=True)
class Claim:
    """One finding: how good it is, a phrase for the headline, and a sentence with its figures."""

    tone: Tone
    phrase: str
    sentence: str
    term: str | None = None


@dataclass(frozen=True)
class Verdict:
    """The reward that was judged (None where the results hold none), and the claims, most telling first."""

    reward: str | None
    claims: Sequence[Claim]

    @property
    def headline(self) -> str:
        """The claims' phrases as one sentence."""
        text = "; ".join(c.phrase for c in self.claims if c.phrase)
        return f"{text[:1].upper()}{text[1:]}." if text else "These results hold no figure to judge."


def judge(tree: xr.DataTree) -> Verdict:
    """The verdict on the (best) recovered reward of a results tree, by `RULES`."""
    rewards = _judged(tree)
    best = max(rewards, key=lambda reward: _merit(tree, reward), default=None)
    claims = [_best(best, rewards), _retraining(tree, best), _imitation(tree)]
    if best is not None and "correlation" in tree.children:
        claims += [_steps(tree, best), _episodes(tree, best)]
    claims += [_regret(tree, best), _certainty(tree, best)]
    return Verdict(best, [claim for claim in claims if claim is not None])


def rewards_of(tree: xr.DataTree) -> list[str]:
    """The rewards under judgement, in the order of the results: not the truth itself, nor the constant baseline."""
    found: dict[str, None] = {}
    for group in ("correlation", "distance", "retraining"):
        if group in tree.children:
            found |= dict.fromkeys(str(r) for r in tree[group].to_dataset()["reward"].values)
    return [reward for reward in found if reward not in BASELINES]


def _judged(tree: xr.DataTree) -> list[str]:
    """The rewards that were learned from demonstrations; ideal ones only where there is nothing else."""
    rewards = rewards_of(tree)
    return [reward for reward in rewards if reward not in IDEALS] or rewards


def main_coverage(group: xr.Dataset) -> str:
    """The coverage that the verdict uses: a mixture where there is one, else the first."""
    coverages = [str(c) for c in group["coverage"].values]
    return next((c for c in coverages if "mixture" in c), coverages[0])


def correlation_bounds(
    tree: xr.DataTree, reward: str, level: str, control: str, *, coverage: str | None = None, metric: str = "pearson"
) -> tuple[float, float, float]:
    """(estimate, low, high) with the first reference; NaN where it is undefined or not in the results."""
    group = tree["correlation"].to_dataset() if "correlation" in tree.children else xr.Dataset()
    if "coverage" not in group.coords:
        return (np.nan, np.nan, np.nan)
    wanted = {"reward": reward, "level": level, "control": control, "metric": metric}
    wanted["coverage"] = coverage or main_coverage(group)
    if any(label not in group[dim].values for dim, label in wanted.items()):
        return (np.nan, np.nan, np.nan)
    values = group["value"].isel(reference=0).sel(wanted)
    return bounds_of(values)


def bounds_of(values: xr.DataArray) -> tuple[float, float, float]:
    """The three numbers along `bound`."""
    estimate, low, high = (float(v) for v in values.sel(bound=["estimate", "low", "high"]).values)
    return estimate, low, high


def retrained_bounds(tree: xr.DataTree, reward: str) -> tuple[float, float, float]:
    """Normalised return after retraining: over seeds where they are in /retraining, else of /returns' one policy."""
    if "retraining" in tree.children:
        group = tree["retraining"].to_dataset()
        if reward in group["reward"].values:
            if "normalised_mean" in group:
                return bounds_of(group["normalised_mean"].sel(reward=reward))
            if "normalised" in group:
                return float(group["normalised"].sel(reward=reward).mean()), np.nan, np.nan
    return _normalised(tree, "retrained") if len(_judged(tree)) <= 1 else (np.nan, np.nan, np.nan)


def _normalised(tree: xr.DataTree, policy: str) -> tuple[float, float, float]:
    group = tree["returns"].to_dataset() if "returns" in tree.children else xr.Dataset()
    if "normalised" not in group or policy not in group["policy"].values:
        return (np.nan, np.nan, np.nan)
    return bounds_of(group["normalised"].sel(policy=policy))


def _merit(tree: xr.DataTree, reward: str) -> tuple[float, float]:
    retrained = retrained_bounds(tree, reward)[0]
    controlled = correlation_bounds(tree, reward, "episode", "length")[0]
    return (float(np.nan_to_num(retrained, nan=-np.inf)), float(np.nan_to_num(controlled, nan=-np.inf)))


def _best(best: str | None, rewards: Sequence[str]) -> Claim | None:
    if best is None or len(rewards) < 2:
        return None
    text = f"This verdict is about “{best}”; the table below it compares all {len(rewards)}."
    return Claim("note", f"“{best}” is the best of {len(rewards)} rewards", text)


def _retraining(tree: xr.DataTree, reward: str | None) -> Claim:
    estimate, low, high = retrained_bounds(tree, reward) if reward else _normalised(tree, "retrained")
    if np.isnan(estimate):
        text = "No policy was retrained on this reward alone: whether it can be reused is unknown."
        return Claim("open", "retraining not measured", text, "retrained")
    share = _percent(estimate, low, high)
    reach = f"A fresh policy trained on this reward alone reaches {share} of the expert's true return"
    if estimate >= GOOD and not low < FAIR:
        return Claim("good", "usable for retraining in this environment", f"{reach} (random is 0 %).", "retrained")
    if estimate >= FAIR:
        return Claim("caution", "only partly usable for retraining", f"{reach} (random is 0 %).", "retrained")
    return Claim("bad", "not usable for retraining", f"{reach} (random is 0 %).", "retrained")


def _imitation(tree: xr.DataTree) -> Claim | None:
    estimate, low, high = _normalised(tree, "learned")
    if np.isnan(estimate):
        return None
    reach = f"The policy learned with it reaches {_percent(estimate, low, high)} of the expert's true return."
    if estimate >= GOOD and not low < FAIR:
        return Claim("good", "the learned policy imitates the expert", reach, "learned")
    if estimate >= FAIR:
        return Claim("caution", "the learned policy imitates the expert in part", reach, "learned")
    return Claim("bad", "the learned policy does not imitate the expert", reach, "learned")


def _steps(tree: xr.DataTree, reward: str) -> Claim:
    estimate, low, high = correlation_bounds(tree, reward, "step", "none")
    if np.isnan(estimate):
        reason = reason_of(tree["correlation"].to_dataset(), reward, "step")
        text = f"Step by step, correlation with the true reward is undefined: {reason}."
        return Claim("open", "step-level agreement undefined", text, "step")
    figure = f"Pearson {_figures(estimate, low, high)} with the true reward"
    if estimate >= STRONG:
        return Claim("good", "agrees with the truth step by step", f"Step by step: {figure}.", "step")
    if estimate <= -WEAK:
        text = f"Step by step: {figure}. It tends to reward what the truth punishes."
        return Claim("bad", "contrary to the truth step by step", text, "step")
    strength = "weak" if abs(estimate) < WEAK else "moderate"
    text = f"Step by step: {figure}. Shaping alone can cause this; retraining and the canonical distances decide."
    return Claim("caution", f"step-level agreement is {strength}", text, "step")


def _episodes(tree: xr.DataTree, reward: str) -> Claim:
    raw = correlation_bounds(tree, reward, "episode", "none")
    constant = correlation_bounds(tree, reward, "episode", "constant")[0]
    controlled = correlation_bounds(tree, reward, "episode", "length")
    if np.isnan(raw[0]):
        reason = reason_of(tree["correlation"].to_dataset(), reward, "episode")
        return Claim(
            "open", "episode-level agreement undefined", f"Over episodes it is undefined: {reason}.", "episode"
        )
    figure = f"Over episodes: Pearson {_figures(*raw)}"
    figure += "" if np.isnan(constant) else f"; a constant reward gets {_two(constant)}"
    figure += "" if np.isnan(controlled[0]) else f"; with length controlled {_figures(*controlled)}"
    if raw[0] <= -WEAK:
        return Claim("bad", "ranks episodes against the truth", f"{figure}.", "episode")
    if raw[0] < WEAK:
        return Claim("caution", "episode-level agreement is weak", f"{figure}.", "episode")
    undefined = bool(np.isnan(controlled[0]))
    # The constant's sign is free: where true rewards are negative, −1 at every step is as blind as 1.
    near = abs(constant) >= LENGTH_MATTERS and abs(raw[0] - abs(constant)) <= LENGTH_MARGIN
    near = near or (undefined and raw[0] <= abs(constant))
    by_length = near or controlled[0] < WEAK or controlled[1] <= 0
    if by_length:
        return Claim("caution", "episode correlation is mostly length", f"{figure}.", "length")
    strength = "strong" if raw[0] >= STRONG else "moderate"
    return Claim("good", f"episode-level agreement is {strength} beyond length", f"{figure}.", "length")


def _regret(tree: xr.DataTree, reward: str | None) -> Claim | None:
    group = tree["distance"].to_dataset() if "distance" in tree.children else xr.Dataset()
    if reward is None or "metric" not in group.coords or "regret" not in group["metric"].values:
        return None
    if reward not in group["reward"].values:
        return None
    values = group["value"].isel(reference=0).sel(reward=reward, metric="regret")
    estimate, low, high = bounds_of(values.sel(coverage=main_coverage(group)))
    if np.isnan(estimate):
        return None
    tone: Tone = "good" if estimate <= SMALL_REGRET else "caution" if estimate <= LARGE_REGRET else "bad"
    size = {"good": "small", "caution": "moderate", "bad": "large"}[tone]
    text = (
        f"Acting optimally for it loses {_figures(estimate, low, high)} of the true return at stake (regret, 0 to 1)."
    )
    return Claim(tone, f"{size} regret under the truth", text, "regret")


def _certainty(tree: xr.DataTree, reward: str | None) -> Claim:
    seeds = 1
    if "retraining" in tree.children and reward in tree["retraining"].to_dataset()["reward"].values:
        seeds = int(tree["retraining"].to_dataset()["return_mean"].sel(reward=reward).notnull().sum())
    if seeds >= 3:
        text = f"How sure: retraining was repeated with {seeds} seeds, the reward itself was learned once."
    else:
        text = (
            "How sure: one training run. The intervals cover the luck of the evaluation episodes, not that of another "
            "run; repeat with more seeds before relying on it."
        )
    return Claim("note", "", f"{text} Transfer to changed dynamics is not part of these results.", "interval")


def reason_of(group: xr.Dataset, reward: str, level: str, control: str = "none", *, coverage: str | None = None) -> str:
    """Why a Pearson figure is undefined, as the results have it."""
    labels = {"reward": reward, "level": level, "control": control, "metric": "pearson"}
    labels["coverage"] = coverage or main_coverage(group)
    if any(label not in group[dim].values for dim, label in labels.items()):
        return "it was not measured"
    return clause(str(group["reason"].isel(reference=0).sel(labels).values)) or "no reason was recorded"


def clause(sentence: str) -> str:
    """A sentence without its capital and full stop, to stand behind a colon."""
    return f"{sentence[:1].lower()}{sentence[1:]}".rstrip(".")


def _percent(estimate: float, low: float, high: float) -> str:
    text = f"{100 * estimate:.0f} %"
    return (text if np.isnan(low) else f"{text} [{100 * low:.0f}, {100 * high:.0f}]").replace("-", "−")


def _figures(estimate: float, low: float, high: float) -> str:
    if np.isnan(low) or low == high:
        return _two(estimate)
    return f"{_two(estimate)} [{_two(low)}, {_two(high)}]"


def _two(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")
