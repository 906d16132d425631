"""The tables of the page as plain data: cells with an estimate, an interval, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from irl_probe.judgement.glossary import TERMS, term_of
from irl_probe.judgement.grades import GOOD_SHARE, Bounds
from irl_probe.judgement.reading import (
    bounds_of,
    changed,
    clause,
    correlation_bounds,
    distance_bounds,
    exact_transfer,
    leading,
    main_coverage,
    overall_bounds,
    ranked,
    retrained_bounds,
    rewards_of,
    transfer_bounds,
)
from irl_probe.judgement.verdict import MANY_RUNS
from irl_probe.judgement.warnings import BASELINES, LENGTH_MATTERS, TRUE_REWARD
from irl_probe.results import retraining_share
from irl_probe.results.files import fixed

UNDEFINED, NOTHING_HERE = "undefined", "–"
CONTROLS = ("none", "constant", "length")


@dataclass(frozen=True)
class Cell:
    """A figure as text; `reason` says why it is undefined, or has no interval."""

    text: str
    interval: str = ""
    reason: str = ""
    best: bool = False

    @property
    def note(self) -> str:
        """The reason as it stands below the table, or nothing."""
        if self.text == NOTHING_HERE:
            return ""
        return f"{'undefined' if self.text == UNDEFINED else 'no interval'}: {self.reason}" if self.reason else ""


@dataclass(frozen=True)
class Heading:
    """A column's or row's name, and the key of its definition."""

    label: str
    term: str | None = None


@dataclass(frozen=True)
class Row:
    """Row headings (a label each) and the cells beside them; `first` starts a new block of rows."""

    headings: Sequence[Heading]
    cells: Sequence[Cell]
    first: bool = False


@dataclass(frozen=True)
class Table:
    """A caption, the header, rows, and the data attributes that the page's controls select it by.

    A `wide` one has no neighbour; `remarks` stand below it.
    """

    caption: str
    header: Sequence[Heading]
    rows: Sequence[Row]
    select: Mapping[str, str] = field(default_factory=dict)
    wide: bool = False
    remarks: Sequence[str] = ()

    @property
    def notes(self) -> list[str]:
        """Why cells are undefined or have no interval, once each, and the remarks."""
        cells = (cell for row in self.rows for cell in row.cells)
        return list(dict.fromkeys([*(cell.note for cell in cells if cell.note), *self.remarks]))


def named(name: str) -> Heading:
    """The heading of a metric or control, as the definitions call it."""
    key = term_of(name)
    return Heading(TERMS[key].label if key else name, key)


def number(value: float, digits: int = 2) -> str:
    """Fixed decimals below a thousand, grouped thousands above, and a true minus sign."""
    return fixed(value, digits if abs(value) < 1000 else 0, grouped=True)


def cell(bounds: Bounds, digits: int = 2, *, reason: str = "", exact: bool = True) -> Cell:
    """The cell of an (estimate, low, high); an exact or single one has no interval.

    Three equal numbers are exact unless `exact` is False: of policies that all came out alike the interval is shown.
    """
    estimate, low, high = bounds
    if np.isnan(estimate):
        return Cell(UNDEFINED, reason=clause(reason) or "no reason was recorded")
    interval = "" if np.isnan(low) or (exact and low == high) else f"[{number(low, digits)}, {number(high, digits)}]"
    return Cell(number(estimate, digits), interval, clause(reason) if np.isnan(low) else "")


def returns_table(returns: xr.Dataset) -> Table:
    """Mean true return, normalised return and mean length of each policy."""
    header = [
        Heading("policy"),
        Heading("true return", "return"),
        *([Heading("normalised", "normalised")] if "normalised" in returns else []),
        *([Heading("length (steps)")] if "lengths" in returns else []),
        *([Heading("episodes")] if "returns" in returns else []),
    ]
    rows = []
    for policy in (str(p) for p in returns["policy"].values):
        one = returns.sel(policy=policy)
        cells = [cell(bounds_of(one["mean"]), 1)]
        if "normalised" in one:
            cells.append(
                cell(
                    bounds_of(one["normalised"]),
                    reason="expert and random have the same mean return" if np.isnan(one["normalised"][0]) else "",
                )
            )
        if "lengths" in one:
            cells.append(Cell(number(float(one["lengths"].mean()), 1)))
        if "returns" in one:
            cells.append(Cell(number(float(one["returns"].notnull().sum()), 0)))
        rows.append(Row([Heading(policy, policy)], cells))
    return Table("True return per episode, with 95 % intervals.", header, rows)


def retraining_table(retraining: xr.Dataset) -> Table:
    """Of the policies trained on each reward: their centre with its interval, the worst, and every true return."""
    header = [Heading("trained on"), Heading("normalised", "normalised"), Heading("worst"), Heading("true returns")]
    missing = Cell(NOTHING_HERE, reason="No policy was trained.")
    rows = []
    for reward in (str(r) for r in retraining["reward"].values):
        one = retraining.sel(reward=reward)
        scores = one["normalised"].values[np.isfinite(one["normalised"].values)]
        returns = ", ".join(number(float(v), 1) for v in one["return_mean"].values if np.isfinite(v))
        bounds = retraining_share(retraining, reward)
        cells = [
            cell(bounds, reason="one policy only" if len(scores) == 1 else "no policy was trained", exact=False),
            Cell(number(float(scores.min()))) if len(scores) else missing,
            Cell(returns) if returns else missing,
        ]
        rows.append(Row([Heading(reward)], cells))
    caption = "True return of the policies trained on each reward alone; each by its own seed."
    return Table(caption, header, rows, remarks=resampled("the policies of a row", rows, retraining.sizes["seed"]))


def resampled(what: str, rows: Sequence[Row], seeds: int) -> list[str]:
    """What an interval over seeds leaves out, to stand below the table; nothing where there is no such interval."""
    intervals = [c.interval for row in rows for c in row.cells if c.interval]
    if seeds < 2 or not intervals:
        return []
    remarks = [f"interval over {seeds} seeds, from resampling {what}"]
    if seeds < MANY_RUNS:
        remarks.append(f"an interval over only {seeds} seeds is too narrow")
    if any(low == high for low, high in (interval.strip("[]").split(", ") for interval in intervals)):
        remarks.append("an interval of no width, to the digits shown, says that these seeds came out alike, no more")
    return remarks


def correlation_table(correlation: xr.Dataset, reward: str, reference: str, metric: str) -> Table:
    """One metric's correlations of a reward: a row per coverage and level, the raw figure beside its two controls."""
    values = correlation.sel(reward=reward, reference=reference, metric=metric)
    controls = [c for c in CONTROLS if c in values["control"].values]
    header = [Heading("coverage", "coverage"), Heading("level"), *(named(c) for c in controls)]
    rows = []
    for coverage in (str(c) for c in values["coverage"].values):
        for place, level in enumerate(str(v) for v in values["level"].values):
            ones = [values.sel(coverage=coverage, level=level, control=control) for control in controls]
            cells = [cell(bounds_of(one["value"]), reason=reason_in(one)) for one in ones]
            rows.append(Row([Heading("" if place else coverage), Heading(level, level)], cells, first=place == 0))
    caption = f"{metric.capitalize()} correlation of “{reward}” with “{reference}”, with 95 % intervals."
    return Table(caption, header, rows, {"reward": reward, "metric": metric})


def glance_table(tree: xr.DataTree) -> Table | None:
    """One row a reward, the best first, with the figures that the verdict rests on; the best of a column is marked.

    Rewards that are not judged, the true one and the constant among them, stand below the others and do not compete.
    """
    rewards = ranked(tree)
    if not rewards:
        return None
    measured = _labels(tree, "correlation")
    others = [r for r in rewards_of(tree) if r not in rewards]
    ideal = {"true": TRUE_REWARD, "constant": "constant"}  # as /correlation and /retraining call them
    others += [name for name, twin in ideal.items() if name in measured or twin in _labels(tree, "retraining")]
    rows = [*rewards, *others]
    columns = [column for column in _glance_columns(tree, rows) if not all(np.isnan(b[0]) for b in column[1])]
    sampled = ("retrained",) if exact_transfer(tree) else ("retrained", "transfer")
    lines = []
    for place, reward in enumerate(rows):
        cells = []
        for heading, bounds, rated in columns:
            known = not np.isnan(bounds[place][0])
            shown = (
                cell(bounds[place], exact=heading.term not in sampled)
                if known
                else Cell(NOTHING_HERE, reason="Not measured, or undefined: see the tables below.")
            )
            lead = bool(rated) and place < len(rewards) and leading(bounds[: len(rewards)], rated)[place]
            if heading.term == "transfer":  # what the warnings say does not transfer, or is not shown to
                lead = lead and bounds[place][0] >= GOOD_SHARE
            cells.append(Cell(shown.text, shown.interval, shown.reason, best=lead))
        lines.append(Row([Heading(reward)], cells, first=place == len(rewards)))
    coverage = f", on {main_coverage(tree['correlation'].to_dataset())} data" if measured else ""
    caption = f"Each reward at a glance, the best first{coverage}." if len(rewards) > 1 else f"At a glance{coverage}."
    if len(rewards) > 1:
        caption += (
            " ★ is the best of its column, with all that its interval does not tell from it; there is none where that "
            "is all of them, or where no reward is shown to transfer."
        )
    return Table(caption, [Heading("reward", "recovered"), *(c[0] for c in columns)], lines)


def _labels(tree: xr.DataTree, group: str) -> list[str]:
    """The rewards of a group."""
    return [str(r) for r in tree[group].to_dataset()["reward"].values] if group in tree.children else []


def _glance_columns(tree: xr.DataTree, rewards: Sequence[str]) -> list[tuple[Heading, list[Bounds], int]]:
    """(heading, a figure for each reward, 1 where more is better, −1 where less is, 0 where neither)."""
    columns = [
        (Heading("retrained", "retrained"), [retrained_bounds(tree, r) for r in rewards], 1),
        (Heading("transfer", "transfer"), [transfer_bounds(tree, r) for r in rewards], 1),
    ]
    baseline = [correlation_bounds(tree, r, "episode", "constant")[0] for r in rewards]
    by_length = bool(np.nanmax(np.abs([0.0, *baseline])) >= LENGTH_MATTERS)
    confounded = ("episode", "none") if by_length else None  # no merit of its own, so never marked as the best
    for heading, level, control in (
        (Heading("step Pearson", "step"), "step", "none"),
        (Heading("episode Pearson", "episode"), "episode", "none"),
        (Heading("its constant baseline", "constant"), "episode", "constant"),
        (Heading("length controlled", "length"), "episode", "length"),
    ):
        figures = [correlation_bounds(tree, r, level, control) for r in rewards]
        columns.append((heading, figures, int(control != "constant" and (level, control) != confounded)))
    for metric in ("starc_minimal", "epic", "regret"):
        columns.append((named(metric), [distance_bounds(tree, r, metric) for r in rewards], -1))
    return columns


def reason_in(one: xr.Dataset) -> str:
    """The reason of a figure, where the group holds reasons."""
    return str(one["reason"].values) if "reason" in one else ""


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
