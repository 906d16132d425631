"""What one may say about a figure and its interval: no claim is stronger than the weaker end of the interval.

A share (of the expert's return, random 0 and expert 1) and a correlation each fall into bands. A claim has no qualifier
only if the whole interval lies in or beyond the band that it names. If the interval reaches into another band, the
words say so. A figure without an interval gives a "perhaps" at most.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from irl_probe.results.files import fixed

GOOD_SHARE, FAIR_SHARE = 0.9, 0.5  # of the expert's normalised return
STRONG, WEAK = 0.7, 0.3  # absolute correlation

Tone = Literal["good", "caution", "bad", "open", "note"]
Bounds = tuple[float, float, float]
NOTHING: Bounds = (np.nan, np.nan, np.nan)  # a figure that is undefined or was not measured


def estimate_alone(bounds: Bounds) -> Bounds:
    """A figure without its interval."""
    return bounds[0], np.nan, np.nan


@dataclass(frozen=True)
class Grade:
    """How good a figure is: its tone, the answer in a word or two, and the prefix of a phrase ("probably usable")."""

    tone: Tone
    word: str
    prefix: str


_SURE, _PROBABLY, _PERHAPS = Grade("good", "Yes", ""), Grade("caution", "Probably", "probably "), "perhaps "
_PARTLY, _AT_LEAST = Grade("caution", "In part", "only partly "), Grade("caution", "At least in part", "partly ")
_FAILED, _NOT_SHOWN = Grade("bad", "No", "not "), Grade("caution", "Not shown", "not shown to be ")


def share_grade(bounds: Bounds) -> Grade:
    """The grade of a normalised return (estimate, low, high); NaN ends mean that there is no interval.

    | estimate | interval | says |
    |---|---|---|
    | from .9 | all from .9 | yes |
    | from .9 | low end from .5 to .9 | probably |
    | from .9 | low end below .5, or none | perhaps |
    | .5 to .9 | all in between | in part |
    | .5 to .9 | low end from .5, high end from .9 | at least in part |
    | .5 to .9 | low end below .5, or none | perhaps in part |
    | below .5 | all below .5 | no |
    | below .5 | high end from .5, or none | not shown |
    """
    estimate, low, high = bounds
    if estimate >= GOOD_SHARE:
        if low >= GOOD_SHARE:
            return _SURE
        return _PROBABLY if low >= FAIR_SHARE else Grade("caution", "Perhaps", _PERHAPS)
    if estimate >= FAIR_SHARE:
        if not low >= FAIR_SHARE:
            return Grade("caution", "Perhaps in part", "perhaps partly ")
        return _PARTLY if high < GOOD_SHARE else _AT_LEAST
    return _FAILED if high < FAIR_SHARE else _NOT_SHOWN


def short_of_steps(share: Bounds, truth: Bounds) -> bool:
    """Whether as many steps on the true reward also miss the expert's return, and are not clearly above `share`.

    Then the reward need not be the cause. False if no policy was trained on the true reward (NaN).
    """
    return truth[0] < GOOD_SHARE and not truth[1] > share[2]


def agreement(bounds: Bounds) -> tuple[Tone, str]:
    """The tone and the strength in words of a correlation (estimate, low, high).

    "strong", "moderate" or "weak" if the estimate and the weaker end of the interval are in one band; else "at least
    moderate" or "weak to strong", by the weaker end; "unclear" if the interval includes 0; "contrary" from −.3 down,
    "weakly contrary" above that.
    """
    estimate, low, high = bounds
    if np.isnan(low) or np.isnan(high):
        return "caution", f"{_signed(estimate, estimate)} by a figure without an interval"
    if low <= 0 <= high:
        small = max(-low, high) < WEAK
        return "caution", "weak or absent" if small else "unclear"
    if estimate < 0:
        return ("bad" if high <= -WEAK else "caution"), _signed(estimate, high)
    return ("good" if low >= STRONG else "caution"), _signed(estimate, low)


def _signed(estimate: float, end: float) -> str:
    """The words for an estimate of which `end` is the weaker end."""
    if estimate < 0:
        weakly = {(True, True): "contrary", (True, False): "contrary, perhaps only weakly"}
        return weakly.get((estimate <= -WEAK, end <= -WEAK), "weakly contrary")
    name, least = _band(estimate), _band(end)
    if name == least:
        return name
    return f"weak to {name}" if least == "weak" else f"at least {least}"


def _band(value: float) -> str:
    return "strong" if value >= STRONG else "moderate" if value >= WEAK else "weak"


def with_interval(bounds: Bounds) -> str:
    """A figure as "0.93 [0.90, 0.95]", without an interval if it has none or is exact."""
    estimate, low, high = bounds
    return fixed(estimate) if np.isnan(low) or low == high else f"{fixed(estimate)} [{fixed(low)}, {fixed(high)}]"


def percent(bounds: Bounds, *, exact: bool = True) -> str:
    """A share as "93 % [90, 95]"; three equal numbers have no interval unless they are not `exact`."""
    estimate, low, high = bounds
    text = f"{fixed(100 * estimate, 0)}\u00a0%"
    if np.isnan(low) or (exact and low == high):
        return text
    return f"{text} [{fixed(100 * low, 0)}, {fixed(100 * high, 0)}]"
