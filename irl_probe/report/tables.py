"""The tables of the page as plain data: cells with an estimate, an interval, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product

import numpy as np

from irl_probe._names import BASELINES, CARRIED_OVER, CONSTANT, RANDOM, TRUE, TRUE_REWARD
from irl_probe._types import Floats
from irl_probe.judgement.glossary import TERMS, term_of
from irl_probe.judgement.grades import GOOD_SHARE, Bounds
from irl_probe.judgement.ranking import leading, ranked
from irl_probe.judgement.reading import (
    Decomposition,
    Distances,
    Figures,
    Measured,
    Ranking,
    Retraining,
    Returns,
    Transfer,
    clause,
    correlation_bounds,
    distance_bounds,
    exact_transfer,
    main_coverage,
    no_interval,
    overall_bounds,
    retrained_bounds,
    rewards_of,
    transfer_bounds,
)
from irl_probe.judgement.warnings import LENGTH_MATTERS
from irl_probe.metrics.bootstrap import LEAST_SEEDS
from irl_probe.metrics.correlation import CONTROLS
from irl_probe.results.files import fixed

UNDEFINED, NOTHING_HERE = "undefined", "–"
MOST_POLICIES = 5  # columns that fit beside a figure
_ABSENT = "it was not measured"
_POLICY_TERMS = {TRUE_REWARD: "true", CARRIED_OVER: "carried", RANDOM: "random"}


@dataclass(frozen=True)
class Cell:
    """A figure as text; `reason` says why it is undefined, or has no interval."""

    text: str
    interval: str = ""
    reason: str = ""
    best: bool = False

    @property
    def note(self) -> str:
        """The reason as it is written below the table, or nothing."""
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
    """A caption, the header, rows, and the data attributes by which the page's controls select it.

    A `wide` table has the whole width of the page; `remarks` are written below it.
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
    """The cell of an (estimate, low, high); an exact or single figure has no interval.

    Three equal numbers are exact unless `exact` is False: if all policies have equal figures, the interval is shown.
    """
    estimate, low, high = bounds
    if np.isnan(estimate):
        return Cell(UNDEFINED, reason=clause(reason) or "no reason was recorded")
    interval = "" if np.isnan(low) or (exact and low == high) else f"[{number(low, digits)}, {number(high, digits)}]"
    return Cell(number(estimate, digits), interval, clause(reason) if np.isnan(low) else "")


def _figure(measured: Measured, where: Mapping[str, str], digits: int = 2, *, exact: bool = True) -> Cell:
    """The cell of a figure by its labels."""
    return cell(measured.of(**where), digits, reason=measured.why(**where) or "", exact=exact)


def glance_table(figures: Figures) -> Table | None:
    """One row for each reward, the best first, with the figures behind the verdict; the best of a column is marked.

    Rewards that are not judged, such as the true one and the constant, come last and are never marked.
    """
    rewards = ranked(figures)
    if not rewards:
        return None
    measured = () if figures.correlation is None else figures.correlation.labels["reward"]
    retrained = () if figures.retraining is None else figures.retraining.share
    others = [r for r in rewards_of(figures) if r not in rewards]
    ideal = {TRUE: TRUE_REWARD, CONSTANT: CONSTANT}  # as /correlation and /retraining call them
    others += [name for name, twin in ideal.items() if name in measured or twin in retrained]
    rows = [*rewards, *others]
    columns = [column for column in _glance_columns(figures, rows) if not all(np.isnan(b[0]) for b in column[1])]
    sampled = ("retrained",) if exact_transfer(figures) else ("retrained", "transfer")
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
            if heading.term == "transfer":  # never mark a reward that, by the warnings, is not shown to transfer
                lead = lead and bounds[place][0] >= GOOD_SHARE
            cells.append(Cell(shown.text, shown.interval, shown.reason, best=lead))
        lines.append(Row([Heading(reward)], cells, first=place == len(rewards)))
    coverage = "" if figures.correlation is None else f", on {main_coverage(figures.correlation)} data"
    caption = f"Each reward at a glance, the best first{coverage}." if len(rewards) > 1 else f"At a glance{coverage}."
    if len(rewards) > 1:
        caption += (
            " ★ marks the best of its column, and all that its interval does not distinguish from it. There is no mark "
            "if that would be all of them, or if no reward is shown to transfer."
        )
    return Table(caption, [Heading("reward", "recovered"), *(c[0] for c in columns)], lines)


def _glance_columns(figures: Figures, rewards: Sequence[str]) -> list[tuple[Heading, list[Bounds], int]]:
    """(heading, a figure for each reward, 1 if more is better, −1 if less is, 0 if neither)."""
    columns = [
        (Heading("retrained", "retrained"), [retrained_bounds(figures, r) for r in rewards], 1),
        (Heading("transfer", "transfer"), [transfer_bounds(figures, r) for r in rewards], 1),
    ]
    baseline = [correlation_bounds(figures, r, "episode", "constant")[0] for r in rewards]
    by_length = bool(np.nanmax(np.abs([0.0, *baseline])) >= LENGTH_MATTERS)
    confounded = ("episode", "none") if by_length else None  # a figure of length, so never marked as the best
    for heading, level, control in (
        (Heading("step Pearson", "step"), "step", "none"),
        (Heading("episode Pearson", "episode"), "episode", "none"),
        (Heading("its constant baseline", "constant"), "episode", "constant"),
        (Heading("length controlled", "length"), "episode", "length"),
    ):
        found = [correlation_bounds(figures, r, level, control) for r in rewards]
        columns.append((heading, found, int(control != "constant" and (level, control) != confounded)))
    for metric in ("starc_minimal", "epic", "regret"):
        columns.append((named(metric), [distance_bounds(figures, r, metric) for r in rewards], -1))
    return columns


def returns_table(returns: Returns) -> Table:
    """Mean true return, normalised return and mean length of each policy."""
    header = [
        Heading("policy"),
        Heading("true return", "return"),
        *([Heading("normalised", "normalised")] if returns.normalised is not None else []),
        *([Heading("length (steps)")] if returns.lengths is not None else []),
        *([Heading("episodes")] if returns.episodes is not None else []),
    ]
    rows = []
    for policy in returns.mean.labels["policy"]:
        cells = [cell(returns.mean.of(policy=policy), 1)]
        if returns.normalised is not None:
            share = returns.normalised.of(policy=policy)
            why = "expert and random have the same mean return" if np.isnan(share[0]) else ""
            cells.append(cell(share, reason=why))
        if returns.lengths is not None:
            cells.append(Cell(number(returns.lengths[policy], 1)))
        if returns.episodes is not None:
            cells.append(Cell(number(returns.episodes[policy], 0)))
        rows.append(Row([Heading(policy, policy)], cells))
    return Table("True return per episode, with 95\u00a0% intervals.", header, rows)


def retraining_table(retraining: Retraining, rewards: Sequence[str]) -> Table:
    """The policies trained on each reward: their centre with its interval, the worst, and every true return."""
    header = [Heading("trained on"), Heading("normalised", "normalised"), Heading("worst"), Heading("true returns")]
    missing = Cell(NOTHING_HERE, reason="No policy was trained.")
    rows = []
    for reward in rewards:
        scores = (retraining.normalised or {}).get(reward, np.empty(0))
        scores = scores[np.isfinite(scores)]
        returns = ", ".join(number(float(v), 1) for v in retraining.returns[reward] if np.isfinite(v))
        trained = retraining.returns[reward]
        why = no_interval(trained[np.isfinite(trained)])
        cells = [
            cell(retraining.share[reward], reason=why, exact=False),
            Cell(number(float(scores.min()))) if len(scores) else missing,
            Cell(returns) if returns else missing,
        ]
        rows.append(Row([Heading(reward)], cells))
    caption = "True return of the policies trained on each reward alone, one for each seed."
    return Table(caption, header, rows, remarks=resampled("the policies of a row", rows, retraining.seeds))


def resampled(what: str, rows: Sequence[Row], seeds: int) -> list[str]:
    """Remarks on intervals over seeds, for below the table; empty if there is no such interval."""
    intervals = [c.interval for row in rows for c in row.cells if c.interval]
    if seeds < LEAST_SEEDS or not intervals:
        return []
    return [f"interval over {seeds} seeds (Student's t, lengthened for skewness), from resampling {what}"]


def correlation_table(correlation: Measured, reward: str, reference: str, metric: str) -> Table:
    """One metric's correlations of a reward: a row for each coverage and level, the raw figure and two controls."""
    controls = [c for c in CONTROLS if c in correlation.labels["control"]]
    header = [Heading("coverage", "coverage"), Heading("level"), *(named(c) for c in controls)]
    rows = []
    for coverage in correlation.labels["coverage"]:
        for place, level in enumerate(correlation.labels["level"]):
            where = {"reward": reward, "reference": reference, "metric": metric, "coverage": coverage, "level": level}
            cells = [_figure(correlation, where | {"control": control}) for control in controls]
            rows.append(Row([Heading("" if place else coverage), Heading(level, level)], cells, first=place == 0))
    caption = f"{metric.capitalize()} correlation of “{reward}” with “{reference}”, with 95\u00a0% intervals."
    return Table(caption, header, rows, {"reward": reward, "metric": metric})


def distance_table(distance: Distances) -> Table:
    """Distances: a row for each reward, reference and coverage, a column for each metric."""
    labels = distance.value.labels
    header = [
        Heading("reward"),
        Heading("reference"),
        Heading("coverage", "coverage"),
        *(named(m) for m in labels["metric"]),
    ]
    rows = []
    for reward in labels["reward"]:
        for place, (reference, coverage) in enumerate(product(labels["reference"], labels["coverage"])):
            where = {"reward": reward, "reference": reference, "coverage": coverage}
            digits = 4 if distance.exact else 3
            cells = [_figure(distance.value, where | {"metric": metric}, digits) for metric in labels["metric"]]
            headings = [Heading("" if place else reward), Heading(reference), Heading(coverage)]
            rows.append(Row(headings, cells, first=place == 0))
    exact = " Exact: computed from the known transition probabilities." if distance.exact else ""
    return Table(f"Distance between rewards: 0 is equivalent.{exact}", header, rows, wide=True)


def calibration_table(distance: Distances) -> Table | None:
    """The sampled measures on rewards at known distances, and how far they left the data; None if exact."""
    if distance.shaped is None and distance.off_support is None:
        return None
    metrics = distance.value.labels["metric"]
    header = [Heading("coverage", "coverage"), Heading("calibration", "calibration"), *(named(m) for m in metrics)]
    rows = []
    for coverage in distance.value.labels["coverage"]:
        lines = [
            (
                f"truth + {times}shaping of the size of {reward}'s value (0 is right)",
                [cell(found.of(reward=reward, coverage=coverage, metric=m), 3, reason=_ABSENT) for m in metrics],
            )
            for found, times in ((distance.shaped, ""), (distance.shaped_10, "10 × "))
            if found is not None
            for reward in found.labels["reward"]
        ]
        if distance.random is not None:
            far = [cell(distance.random.of(coverage=coverage, metric=m), 3, reason=_ABSENT) for m in metrics]
            lines.append(("a random reward (far is right)", far))
        if distance.off_support is not None:
            shares = [distance.off_support.of(coverage=coverage, metric=m)[0] for m in metrics]
            lines.append(("queries outside the data", [_share(share) for share in shares]))
        for place, (text, cells) in enumerate(lines):
            rows.append(Row([Heading("" if place else coverage), Heading(text)], cells, first=place == 0))
    return Table("How far the sampled distances can be trusted.", header, rows, wide=True)


def _share(share: float) -> Cell:
    return Cell(UNDEFINED, reason=_ABSENT) if np.isnan(share) else Cell(f"{100 * share:.0f}\u00a0%")


def ranking_table(ranking: Ranking, *, undiscounted: bool = False) -> Table:
    """τ_b of each reward and of a constant, and the mean returns that they order; true and constant have a row each.

    If rewards have different γ, true and constant have a row for each γ.
    """
    kinds = sorted({gamma for gamma in ranking.gamma.values() if not np.isnan(gamma)})
    labels = {r: f", γ = {gamma:g}" if len(kinds) > 1 else "" for r, gamma in ranking.gamma.items()}
    first = {label: reward for reward, label in reversed(labels.items())}  # the first reward of each γ
    shared = sorted(first.items())
    order = np.argsort(ranking.true[shared[0][1]], kind="stable")
    header = [Heading("reward"), Heading("agreement τ", "ranking"), *(Heading(ranking.policies[p]) for p in order)]
    rows = [Row([Heading(f"{TRUE}{label}")], [Cell("1"), *_means(ranking.true[r][order])]) for label, r in shared]
    for reward in (r for r in ranking.recovered if r not in BASELINES):
        agreement = _figure(ranking.value, {"reward": reward})
        cells = [agreement, *_means(ranking.recovered[reward][order])]
        rows.append(Row([Heading(f"{reward}{labels[reward]}")], cells))
    for label, reward in shared:
        constant = cell(ranking.constant[reward], reason="it ties all policies")
        means = [Cell(NOTHING_HERE)] * len(ranking.policies)
        if labels.get(CONSTANT) == label:
            means = _means(ranking.recovered[CONSTANT][order])
        rows.append(Row([Heading(f"{CONSTANT}{label}", "constant")], [constant, *means]))
    kind = "undiscounted" if undiscounted else "discounted"
    caption = f"Mean {kind} return of each policy by each reward, policies in the order of the true one."
    return Table(caption, header, rows, wide=True)


def _means(values: Floats) -> list[Cell]:
    return [Cell(number(float(value), 2)) for value in values]


def decomposition_table(decomposition: Decomposition) -> Table:
    """Each part's share of the recovered reward's variance, and the scale λ."""
    value, scale = decomposition.value, decomposition.scale
    parts = value.labels["part"]
    header = [Heading("reward"), Heading("coverage", "coverage"), *(named(p) for p in parts), Heading("scale λ")]
    rows = []
    for reward in value.labels["reward"]:
        for place, coverage in enumerate(value.labels["coverage"]):
            where = {"reward": reward, "coverage": coverage}
            cells = [_figure(value, where | {"part": part}) for part in parts]
            cells.append(cell(scale.of(**where), 3, reason=_ABSENT))
            rows.append(Row([Heading("" if place else reward), Heading(coverage)], cells, first=place == 0))
    return Table(
        "Why the rewards differ: shares of the recovered reward's variance, which sum to 1.", header, rows, wide=True
    )


def transfer_table(transfer: Transfer) -> Table:
    """Normalised return of each policy in each variant of the environment: random 0, trained there on the truth 1.

    If there are several changes, the last row is over all of them.
    """
    policies = transfer.value.labels["policy"]
    known = policies if transfer.exact else (RANDOM, TRUE_REWARD)  # 0 and 1 by definition
    header = [Heading("environment"), *(Heading(p, _POLICY_TERMS.get(p)) for p in policies)]
    rows = []
    for variant in transfer.value.labels["variant"]:
        cells = [_figure(transfer.value, {"variant": variant, "policy": p}, exact=p in known) for p in policies]
        rows.append(Row([Heading(variant)], cells))
    several = transfer.overall is not None and len(transfer.changed) > 1
    if several:
        cells = [cell(overall_bounds(transfer, p), reason=_ABSENT, exact=p in known) for p in policies]
        rows.append(Row([Heading("all changes")], cells, first=True))
    what = "each policy's seeds, random's and the true reward's"
    return Table(
        "Normalised true return by environment and policy.",
        header,
        rows,
        wide=len(policies) > MOST_POLICIES,
        remarks=resampled(what, rows, transfer.seeds),
    )
