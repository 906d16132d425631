"""The rules of the verdict as the page states them, and the thresholds that are the page's own."""

from __future__ import annotations

from collections.abc import Sequence

from irl_probe.correlation_rules import LENGTH_MARGIN, LENGTH_MATTERS
from irl_probe.grades import FAIR_SHARE, GOOD_SHARE, STRONG, WEAK

SMALL_REGRET, LARGE_REGRET = 0.05, 0.2
MANY_RUNS, SOME_RUNS = 5, 3

RULES: Sequence[str] = (
    "No claim is stronger than the weaker end of its interval; a figure without an interval gives a “perhaps” at most.",
    "Imitation, retraining and transfer: yes where the whole interval of the normalised return lies from "
    f"{GOOD_SHARE:g} up; probably where the figure does and the interval reaches down to {FAIR_SHARE:g} at most; in "
    f"part from {FAIR_SHARE:g}; no where the whole interval lies below {FAIR_SHARE:g}; otherwise perhaps, or not "
    "shown. Retraining counts from random (0) to the expert (1), transfer from random (0) to a policy trained on the "
    "true reward in the changed environment (1), over all changes; a transfer that is not shown to beat carrying the "
    "imitator's policy over is partial at most.",
    "Best: the highest normalised return after retraining; where two rewards' figures read alike to two decimals, the "
    "least exact regret and distance, the return in changed dynamics, the length-controlled episode Pearson and the "
    "step Pearson, in this order. It leads clearly where its interval lies wholly beyond those of all others. A reward "
    "made from exact occupancies, the true reward and a constant are shown beside the others, not judged.",
    f"Correlations: strong where figure and interval lie from {STRONG:g} up, moderate from {WEAK:g}, contrary from "
    f"−{WEAK:g} down, unclear where the interval includes 0; “at least moderate” and the like where it spans two.",
    "Episodes: the weaker of the plain figure and the one with length controlled decides, the plain one where the "
    "other is undefined. The plain one is mostly length where it is within "
    f"{LENGTH_MARGIN:g} of a constant reward's (up to sign, and that at least {LENGTH_MATTERS:g}), or where, with "
    f"length controlled, the interval stays below {WEAK:g} or nothing is left.",
    "Apart from shaping: the STARC (minimal) distance d is that of two unit vectors with cosine 1 − d²/2, which is "
    "judged as a correlation is.",
    "Where nobody retrained but the regret is exact, 1 − regret is judged as the return of a retrained policy.",
    f"Regret: small up to {SMALL_REGRET:g}, large above {LARGE_REGRET:g}, by the larger end of its interval.",
    f"How sure: well supported by {MANY_RUNS} or more training runs and {MANY_RUNS} or more retrained policies whose "
    f"interval leaves no doubt of the answer; fairly by {SOME_RUNS} or more retrained policies or runs, or where "
    "distances are exact; otherwise little.",
    "Correlations are judged on the mixture coverage where there is one, else on the first.",
)
