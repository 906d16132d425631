"""Tables of what was measured of rewards beyond correlation: distances, their calibration, decompositions, transfer."""

from __future__ import annotations

from itertools import product

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from irl_probe.correlation_rules import BASELINES
from irl_probe.report.reading import bounds_of, changed, overall_bounds
from irl_probe.report.tables import (
    NOTHING_HERE,
    UNDEFINED,
    Cell,
    Heading,
    Row,
    Table,
    cell,
    named,
    number,
    reason_in,
    resampled,
)

MOST_POLICIES = 5  # columns that stand beside a figure
_ABSENT = "it was not measured"
_POLICY_TERMS = {"true reward": "true", "carried over": "carried", "random": "random"}


def distance_table(distance: xr.Dataset) -> Table:
    """Distances: a row per reward, reference and coverage, a column per metric."""
    metrics = [str(m) for m in distance["metric"].values]
    digits = 4 if distance.attrs.get("exact") else 3
    header = [
        Heading("reward"),
        Heading("reference"),
        Heading("coverage", "coverage"),
        *(named(m) for m in metrics),
    ]
    rows = []
    for reward in (str(r) for r in distance["reward"].values):
        pairs = product(distance["reference"].values, distance["coverage"].values)
        for place, (reference, coverage) in enumerate(pairs):
            ones = [distance.sel(reward=reward, reference=reference, coverage=coverage, metric=m) for m in metrics]
            cells = [cell(bounds_of(one["value"]), digits, reason=reason_in(one)) for one in ones]
            headings = [Heading("" if place else reward), Heading(str(reference)), Heading(str(coverage))]
            rows.append(Row(headings, cells, first=place == 0))
    exact = " Exact: computed from the known transition probabilities." if distance.attrs.get("exact") else ""
    return Table(f"Distance between rewards: 0 is equivalent.{exact}", header, rows, wide=True)


def calibration_table(distance: xr.Dataset) -> Table | None:
    """What a sampled measure says of rewards at known distances, and how far it left the data; None where exact."""
    if "shaped" not in distance and "off_support" not in distance:
        return None
    metrics = [str(m) for m in distance["metric"].values]
    header = [Heading("coverage", "coverage"), Heading("calibration", "calibration"), *(named(m) for m in metrics)]
    rows = []
    for coverage in (str(c) for c in distance["coverage"].values):
        at = distance.sel(coverage=coverage)
        kinds = (("shaped", "truth + shaping (0 is right)"), ("random", "a random reward (far is right)"))
        lines = [
            (text, [cell(bounds_of(at[name].isel(reference=0).sel(metric=m)), 3, reason=_ABSENT) for m in metrics])
            for name, text in kinds
            if name in at
        ]
        if "off_support" in at:
            lines.append(("asked off the data", [_share(float(at["off_support"].sel(metric=m))) for m in metrics]))
        for place, (text, figures) in enumerate(lines):
            rows.append(Row([Heading("" if place else coverage), Heading(text)], figures, first=place == 0))
    return Table("How far the sampled distances can be trusted.", header, rows, wide=True)


def ranking_table(ranking: xr.Dataset) -> Table:
    """τ_b of each reward beside a constant one's, and the mean returns that it orders; true and constant once each."""
    order = np.argsort(ranking["true"].values, kind="stable")
    policies = [str(p) for p in ranking["policy"].values[order]]
    header = [Heading("reward"), Heading("agreement τ", "ranking"), *(Heading(p) for p in policies)]
    rows = [Row([Heading("true")], [Cell("1"), *_means(ranking["true"].values[order])])]
    rewards = [str(r) for r in ranking["reward"].values]
    for reward in (r for r in rewards if r not in BASELINES):
        one = ranking.sel(reward=reward)
        agreement = cell(bounds_of(one["value"]), reason=str(one["reason"].values))
        rows.append(Row([Heading(reward)], [agreement, *_means(one["recovered"].values[order])]))
    constant = cell(bounds_of(ranking["constant"]), reason="all policies' episodes last equally long on average")
    means = [Cell(NOTHING_HERE)] * len(policies)
    if "constant" in rewards:
        means = _means(ranking["recovered"].sel(reward="constant").values[order])
    rows.append(Row([Heading("constant", "constant")], [constant, *means]))
    caption = "Mean return of each policy by each reward, policies in the order of the true one."
    return Table(caption, header, rows, wide=True)


def _means(values: NDArray[np.float64]) -> list[Cell]:
    return [Cell(number(float(value), 2)) for value in values]


def decomposition_table(decomposition: xr.Dataset) -> Table:
    """Each part's share of the recovered reward's variance, and the scale λ."""
    parts = [str(p) for p in decomposition["part"].values]
    header = [Heading("reward"), Heading("coverage", "coverage"), *(named(p) for p in parts), Heading("scale λ")]
    rows = []
    for reward in (str(r) for r in decomposition["reward"].values):
        for place, coverage in enumerate(str(c) for c in decomposition["coverage"].values):
            one = decomposition.isel(reference=0).sel(reward=reward, coverage=coverage)
            cells = [
                cell(bounds_of(one["value"].sel(part=p)), reason=str(one["reason"].sel(part=p).values)) for p in parts
            ]
            cells.append(cell(bounds_of(one["scale"]), 3, reason=_ABSENT))
            rows.append(Row([Heading("" if place else reward), Heading(coverage)], cells, first=place == 0))
    return Table(
        "Why the rewards differ: shares of the recovered reward's variance, which sum to 1.", header, rows, wide=True
    )


def transfer_table(transfer: xr.Dataset) -> Table:
    """Normalised return of each policy in each variant of the environment: random 0, trained there on the truth 1.

    A row over all changes stands below where there are several.
    """
    policies = [str(p) for p in transfer["policy"].values]
    fixed = policies if transfer.attrs.get("exact") else ("random", "true reward")  # 0 and 1 by definition
    header = [Heading("environment"), *(Heading(p, _POLICY_TERMS.get(p)) for p in policies)]
    rows = []
    for variant in (str(v) for v in transfer["variant"].values):
        one = transfer.sel(variant=variant)
        reasons = {p: str(one["reason"].sel(policy=p).values) for p in policies}
        cells = [cell(bounds_of(one["value"].sel(policy=p)), reason=reasons[p], exact=p in fixed) for p in policies]
        rows.append(Row([Heading(variant)], cells))
    several = "overall" in transfer and sum(changed(transfer)) > 1
    if several:
        cells = [cell(overall_bounds(transfer, p), reason=_ABSENT, exact=p in fixed) for p in policies]
        rows.append(Row([Heading("all changes")], cells, first=True))
    what = "each policy's seeds, random's and the true reward's"
    if several:
        what += "; over all changes each policy's alone, which leaves out how sure the scale from 0 to 1 is"
    seeds = transfer.sizes["seed"] if "return_mean" in transfer else 0
    return Table(
        "Normalised true return by environment and policy.",
        header,
        rows,
        wide=len(policies) > MOST_POLICIES,
        remarks=resampled(what, rows, seeds),
    )


def _share(share: float) -> Cell:
    return Cell(UNDEFINED, reason=_ABSENT) if np.isnan(share) else Cell(f"{100 * share:.0f}\u00a0%")
