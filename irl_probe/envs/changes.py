"""Which parameters of which environment can be changed, and how: dynamics only, never the reward."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any, Literal

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from irl_probe.envs import mujoco_changes as of_model
from irl_probe.envs.kinds import kind
from irl_probe.envs.tabular import TabularEnv, TabularMDP

Env = gym.Env[Any, Any]
Floats = NDArray[np.float64]
Unit = Literal["factor", "probability", "number", "switch"]


@dataclass(frozen=True)
class Parameter:
    """Something about an environment's dynamics that can be changed.

    Attributes:
        change: carries it out on the environment without its wrappers; of a tabular MDP, it maps P to the changed P.
        factors: those that `variants` takes by default.
        unit: what the number is: a "factor" (positive), a "probability", a "number" that counts from 1 to the last of
            `factors`, or 1 for a "switch".
    """

    change: Callable[[Any, float], Any]
    factors: tuple[float, ...] = (0.5, 2.0)
    unit: Unit = "factor"

    def check(self, name: str, factor: float) -> None:
        """Raise ValueError unless `factor` is one for this parameter."""
        must = {
            "factor": ("a positive factor, 1 for no change", 0 < factor < np.inf),
            "probability": ("a probability above 0 and at most 1", 0 < factor <= 1),
            "number": (
                f"a whole number from 1 to {max(self.factors):g}",
                factor in range(1, int(max(self.factors)) + 1),
            ),
            "switch": ("1, for it is on or absent", factor == 1),
        }
        what, holds = must[self.unit]
        if not holds:
            raise ValueError(f"The change {name!r} takes {what}; got {factor:g}.")


def changed_mdp(mdp: TabularMDP, parameter: str, factor: float) -> TabularMDP:
    """The MDP with changed transitions and its old reward table R(s, a, s′). Raises ValueError as `changed`."""
    found = find_parameter(TABULAR, parameter, mdp.name)
    found.check(parameter, factor)
    transition: Floats = found.change(mdp.transition, factor)
    return replace(mdp, transition=transition)


def changed(env: Env, parameter: str, factor: float) -> Env:
    """The environment, just made, with a change to its dynamics; what it pays for a transition is not touched.

    Its id becomes that of the variant, "Hopper-v5[mass=2]", by which `make_env` makes it again.

    Raises ValueError for an environment or a parameter that has no changes, or a factor that cannot be.
    """
    name = env.spec.id if env.spec is not None else type(env.unwrapped).__name__
    base: Any = env.unwrapped
    if isinstance(base, TabularEnv):
        mdp = changed_mdp(base.mdp, parameter, factor)
        return tabular_variant(mdp, variant_id(name, parameter, factor), horizon=base.horizon)
    found = find_parameter(parameters_of(env), parameter, name)
    found.check(parameter, factor)
    found.change(base, factor)
    spec = copy.deepcopy(base.spec)
    if spec is not None:
        spec.id = variant_id(name, parameter, factor)
        base.spec = spec
        layer = env
        while isinstance(layer, gym.Wrapper):  # each keeps its own copy of the spec once it was asked for it
            layer._cached_spec = None
            layer = layer.env
    return env


def tabular_variant(mdp: TabularMDP, name: str, **options: Any) -> TabularEnv:
    """The environment of a changed MDP, under its variant's id."""
    env = TabularEnv(mdp, **options)
    assert env.spec is not None
    env.spec.id = name
    return env


def parameters_of(env: Env) -> Mapping[str, Parameter]:
    """What can be changed about an environment, by name. Raises ValueError where nothing can."""
    if isinstance(env.unwrapped, TabularEnv):
        return TABULAR
    found = CHANGES.get(kind(env))
    if found is None:
        name = env.spec.id if env.spec is not None else type(env.unwrapped).__name__
        raise ValueError(
            f"Dynamics can be changed in tabular MDPs and in these environments: {', '.join(sorted(CHANGES))}; {name} "
            "is none of them. Make the changed environment yourself and give transfer a "
            "irl_probe.Variant(env_id, parameter, factor, function=...) of it."
        )
    return found


def find_parameter(known: Mapping[str, Parameter], parameter: str, name: str) -> Parameter:
    """Raises ValueError for a name that is not known, with the nearest."""
    if parameter in known:
        return known[parameter]
    near = get_close_matches(parameter, known, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"{name} can be changed in {', '.join(known)}; got {parameter!r}.{hint}")


def variant_id(env_id: str, parameter: str, factor: float) -> str:
    """As in "Hopper-v5[mass=2]"."""
    return f"{env_id}[{parameter}={factor:g}]"


def split_variant_id(env_id: str) -> tuple[str, str, float] | None:
    """Base id, parameter and factor of a variant's id; a bare [parameter] stands for [parameter=1]; None for any other.

    Raises ValueError where the factor is no number.
    """
    match = re.fullmatch(r"(?P<base>[^\[]+)\[(?P<parameter>[^\]=]+)(=(?P<factor>[^\]]*))?\]", env_id)
    if match is None:
        return None
    try:
        factor = float(match["factor"] or 1)
    except ValueError:
        raise ValueError(
            f"The factor of a variant must be a number, as in {match['base']}[{match['parameter']}=2]; got "
            f"{match['factor']!r}."
        ) from None
    return match["base"], match["parameter"], factor


def _times(*attributes: str) -> Callable[[Any, float], None]:
    """Multiplies these attributes of the environment by the factor."""

    def change(env: Any, factor: float) -> None:
        for attribute in attributes:
            setattr(env, attribute, getattr(env, attribute) * factor)

    return change


def _cartpole(*attributes: str) -> Callable[[Any, float], None]:
    def change(env: Any, factor: float) -> None:
        _times(*attributes)(env, factor)
        env.total_mass = env.masspole + env.masscart
        env.polemass_length = env.masspole * env.length

    return change


def _slip(transition: Floats, probability: float) -> Floats:
    """P′(·|s, a) = (1 − p)·P(·|s, a) + p·mean_b P(·|s, b): with probability p a uniformly drawn action in its place."""
    mixed: Floats = (1 - probability) * transition + probability * transition.mean(axis=1, keepdims=True)
    return mixed


def _swap(transition: Floats, _: float) -> Floats:
    """Actions 0 and 1 change places, 2 and 3, and so on (left and right, up and down); an odd last one stays."""
    actions = np.arange(transition.shape[1])
    partner = np.where((actions ^ 1) < len(actions), actions ^ 1, actions)
    return np.asarray(transition[:, partner])


TABULAR: Mapping[str, Parameter] = {
    "slip": Parameter(_slip, (0.2, 0.5), "probability"),
    "swapped actions": Parameter(_swap, (1.0,), "switch"),
}

_LINKS = ("LINK_LENGTH_1", "LINK_LENGTH_2", "LINK_COM_POS_1", "LINK_COM_POS_2")
_MODEL = {
    "mass": Parameter(of_model.mass),
    "strength": Parameter(of_model.strength),
    "damping": Parameter(of_model.damping),
}
_STANDING = _MODEL | {"gravity": Parameter(of_model.gravity, (0.7, 1.3)), "friction": Parameter(of_model.friction)}


def _longer(*geoms: str) -> Parameter:
    return Parameter(of_model.length(*geoms), (0.8, 1.2))


CHANGES: Mapping[str, Mapping[str, Parameter]] = {
    "cartpole": {
        "length": Parameter(_cartpole("length")),
        "mass": Parameter(_cartpole("masspole")),
        "cart mass": Parameter(_cartpole("masscart")),
        "force": Parameter(_cartpole("force_mag")),
        "gravity": Parameter(_cartpole("gravity")),
    },
    "acrobot": {"length": Parameter(_times(*_LINKS)), "mass": Parameter(_times("LINK_MASS_1", "LINK_MASS_2"))},
    "pendulum": {name: Parameter(_times(name[0])) for name in ("mass", "length", "gravity")},
    "mountain_car": {"force": Parameter(_times("force")), "gravity": Parameter(_times("gravity"), (0.8, 1.2))},
    "continuous_mountain_car": {"force": Parameter(_times("power"))},
    "lunar_lander": {"gravity": Parameter(_times("gravity"), (0.7, 1.3))},
    "point_maze": {"moved wall": Parameter(of_model.moved_wall, (1.0,), "switch"), **_MODEL},
    "hopper_v5": _STANDING
    | {
        "torso length": _longer("torso_geom"),
        "thigh length": _longer("thigh_geom"),
        "leg length": _longer("leg_geom"),
    },
    "walker2d_v5": _STANDING
    | {
        "torso length": _longer("torso_geom"),
        "thigh length": _longer("thigh_geom", "thigh_left_geom"),
        "leg length": _longer("leg_geom", "leg_left_geom"),
    },
    "half_cheetah_v5": _STANDING | {"leg length": _longer("bthigh", "bshin", "bfoot", "fthigh", "fshin", "ffoot")},
    "ant_v5": _STANDING
    | {
        "disabled leg": Parameter(of_model.disabled_leg, (1.0, 2.0, 3.0, 4.0), "number"),
        "leg length": _longer("left_ankle_geom", "right_ankle_geom", "third_ankle_geom", "fourth_ankle_geom"),
    },
    "humanoid_v5": _STANDING,
    "humanoidstandup_v5": _STANDING,
    "swimmer_v5": _MODEL,
    "inverted_pendulum_v5": _MODEL | {"gravity": _STANDING["gravity"]},
    "inverted_double_pendulum_v5": _MODEL | {"gravity": _STANDING["gravity"]},
    "reacher_v5": _MODEL,
    "pusher_v5": _MODEL,
}
