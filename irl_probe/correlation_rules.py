"""Where a correlation must not be trusted: warnings in plain words, each by one stated rule of `verdict_rules`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import xarray as xr

from irl_probe.grades import Bounds, with_interval

LENGTH_MARGIN = 0.05  # a constant reward that comes this close leaves nothing to the reward
LENGTH_MATTERS = 0.5  # below this, length does not drive the true returns, and closeness means nothing
TRUE_REWARD = "true reward"  # what /retraining and /transfer call policies trained on the environment's own reward
BASELINES = ("true", "constant", TRUE_REWARD)  # rewards that stand beside the others and are not judged


class Told(NamedTuple):
    """The text of a warning, and the reward that it is about ("" where it is about none, or about several)."""

    text: str
    reward: str = ""


def negative(tree: xr.DataTree) -> Iterator[Told]:
    """Below 0 over its whole interval."""
    for reward, who, values, _ in _pairs(tree):
        for level in ("partial", "episode"):
            found = []
            for coverage in values["coverage"].values:
                (estimate, low, high), controlled = _deciding(values.sel(coverage=coverage, level=level))
                if high < 0 or (np.isnan(high) and estimate < 0):
                    kind = ", length partialled out" if controlled else ""
                    found.append(f"{coverage} ({with_interval((estimate, low, high))}{kind})")
            if found:
                yield Told(
                    f"{who} is negatively correlated with the truth at {level} level on {listed(found)}: where it is "
                    "higher, the true return tends to be lower.",
                    reward,
                )


def length(tree: xr.DataTree) -> Iterator[Told]:
    """No better than a constant reward over episodes, or nothing left with length partialled out."""
    for reward, who, values, _ in _pairs(tree):
        nothing, something = [], []
        for coverage in values["coverage"].values:
            episode = values.sel(coverage=coverage, level="episode")
            plain, constant, left = (bounds_in(episode.sel(control=c)) for c in ("none", "constant", "length"))
            near = abs(abs(plain[0]) - abs(constant[0])) <= LENGTH_MARGIN
            if abs(constant[0]) < LENGTH_MATTERS or np.isnan([plain[0], constant[0]]).any():
                continue
            told = f"{coverage} ({with_interval(plain)}; a constant reward reaches {with_interval(constant)}"
            told += ")" if np.isnan(left[0]) else f"; with length partialled out {with_interval(left)})"
            if left[1] <= 0 <= left[2] or (near and np.isnan(left).any()):
                nothing.append(told)
            elif near:
                something.append(told)
        if nothing:
            yield Told(
                f"{who}: the episode correlation is not known to say anything beyond episode length on "
                f"{listed(nothing)}. Read the step level and retraining instead.",
                reward,
            )
        if something:
            yield Told(
                f"{who}: the episode correlation is no higher than a constant reward's on {listed(something)}. "
                "Read the figure with length partialled out, the step level, and retraining instead.",
                reward,
            )


def undefined_step(tree: xr.DataTree) -> Iterator[Told]:
    """No correlation at step level; rewards that share the reason are told together."""
    found: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for reward, who, values, reasons in _pairs(tree):
        step = values.sel(level="step", control="none", bound="estimate")
        why = reasons.sel(level="step", control="none")
        coverages: dict[str, list[str]] = {}
        for coverage in values["coverage"].values:
            if np.isnan(step.sel(coverage=coverage)) and why.sel(coverage=coverage).item():
                coverages.setdefault(why.sel(coverage=coverage).item(), []).append(str(coverage))
        for reason, names in coverages.items():
            found.setdefault((reason, listed(names)), []).append((reward, who))
    for (reason, where), whose in found.items():
        nothing = f"no step-level correlation on {where}: {reason}"
        if len(whose) == 1:
            yield Told(f"{whose[0][1]} has {nothing}", whose[0][0])
        else:
            yield Told(f"Rewards {listed([one.removeprefix('Reward ') for _, one in whose])} have {nothing}")


def includes_zero(tree: xr.DataTree) -> Iterator[Told]:
    """An interval that includes 0."""
    for reward, who, values, _ in _pairs(tree):
        found = []
        for coverage in values["coverage"].values:
            plain, controlled = (
                [
                    str(level)
                    for level in values["level"].values
                    if _crosses(bounds_in(values.sel(coverage=coverage, level=level, control=control)))
                ]
                for control in ("none", "length")
            )
            controlled = [level for level in controlled if level not in ("step", *plain)]
            where = [f"{listed(plain)} level"] if plain else []
            where += [f"{listed(controlled)} level with length partialled out"] if controlled else []
            if where:
                found.append(f"{coverage} ({', '.join(where)})")
        if found:
            yield Told(
                f"{who}: the interval of the correlation includes 0 on {listed(found)}, so its sign is not known "
                "there. More episodes would narrow it.",
                reward,
            )


def _pairs(tree: xr.DataTree) -> Iterator[tuple[str, str, xr.DataArray, xr.DataArray]]:
    """The reward, who is compared in words, its Pearson (coverage, level, control, bound) and the reasons; else NaN."""
    if "correlation" not in tree.children:
        return
    whole = {"level": ["step", "partial", "episode"], "control": ["none", "constant", "length"], "metric": ["pearson"]}
    group = tree["correlation"].to_dataset().reindex(whole, fill_value={"reason": ""}).sel(metric="pearson")
    for reward in (r for r in group["reward"].values if r not in BASELINES):
        for reference in group["reference"].values:
            pair = group.sel(reward=reward, reference=reference)
            against = f" (against “{reference}”)" if group.sizes["reference"] > 1 else ""
            yield str(reward), f"Reward “{reward}”{against}", pair["value"], pair["reason"]


def _deciding(values: xr.DataArray) -> tuple[Bounds, bool]:
    """Of (control, bound) the Pearson with length partialled out, and True; where that is undefined the plain one."""
    controlled = bounds_in(values.sel(control="length"))
    return (bounds_in(values.sel(control="none")), False) if np.isnan(controlled[0]) else (controlled, True)


def bounds_in(values: xr.DataArray) -> Bounds:
    """The three numbers along `bound`."""
    estimate, low, high = (float(v) for v in values.sel(bound=["estimate", "low", "high"]).values)
    return estimate, low, high


def _crosses(bounds: Bounds) -> bool:
    return bounds[1] <= 0 <= bounds[2]


def listed(items: list[str]) -> str:
    """The items as a list in a sentence."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"
