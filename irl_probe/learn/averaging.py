"""How fast the average that is handed over follows what is learned."""

from __future__ import annotations

RECENCY = 8  # η of polynomial-decay averaging (Shamir and Zhang 2013)


def averaging_rate(least: float, updates: int) -> float:
    """Share of the way that the average goes at this update (the first is 1): (1 + η)/(t + η), and never below `least`.

    About the last (1 + η)th of the updates made so far count, so that a short run's average is not its beginning; from
    where that is more than the last 1/`least`, those.
    """
    return max(least, (1 + RECENCY) / (updates + RECENCY))
