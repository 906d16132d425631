"""A linear reward as people write it."""

from __future__ import annotations

import numpy as np

from irl_probe.rewards.distilled import DistilledReward
from irl_probe.rewards.forward import moments
from irl_probe.rewards.model import Floats
from irl_probe.rewards.network import RewardNetwork

MOST_TERMS = 30
ROUNDING = 1e-12  # share of the largest weight below which one is what rounding left of 0


def formula(reward: DistilledReward) -> str | None:
    """A linear reward's terms, such as "0.126·s[8] − 0.2"; those without a weight are left out.

    s[i] and a[i] count from 0: entries of a vector, or 1 where a discrete one is i. d is 1 at an end, where s′ counts
    as 0. Of a shaped reward it is g.

    Returns None for tables and networks, and where more than `MOST_TERMS` weights are left.
    """
    g = reward.g
    if g.spec.hidden or g.tabular:
        return None
    weights, constant = _affine(g)
    left = np.flatnonzero(np.abs(weights) > ROUNDING * np.abs(weights).max())
    if len(left) > MOST_TERMS:
        return None
    names = _names(g)
    terms = [(weights[i], f"·{names[i]}") for i in left] + ([(constant, "")] if constant or not len(left) else [])
    text = " ".join(f"{'−' if value < 0 else '+'} {abs(value):.3g}{name}" for value, name in terms)
    return text.removeprefix("+ ") if text.startswith("+") else "−" + text.removeprefix("− ")


def _names(g: RewardNetwork) -> list[str]:
    """What each input of the linear layer is called."""
    states, actions = g.spec.input_width, g.spec.action_count or len(g.spec.action_low or ())
    names = [f"s[{i}]" for i in range(states)]
    if g.form != "state":
        names += [f"a[{i}]" for i in range(actions)]
    return names + ([f"s′[{i}]" for i in range(states)] + ["d"] if g.form == "transition" else [])


def _affine(g: RewardNetwork) -> tuple[Floats, float]:
    """Weights and constant on inputs as rewards take them, of which the linear layer sees (x − shift)/scale."""
    weight, bias = (part.detach().double().numpy() for part in g.layers[-1].parameters())
    shift, scale = moments(g.encoder, g.spec, g.form)
    weights = weight[0] / scale
    constant = float(bias[0] - weights @ shift)
    if g.form == "transition":  # at an end it is the normalised s′ that is 0
        after = slice(-1 - g.spec.input_width, -1)
        weights[-1] += weights[after] @ shift[after]
    return weights, constant
