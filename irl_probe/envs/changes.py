"""Changes to the dynamics of an environment: which parameters of which environment, and how. Rewards never change."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import gymnasium as gym
import numpy as np

from irl_probe._spaces import Env
from irl_probe._steps import layers
from irl_probe._types import Floats
from irl_probe._words import did_you_mean
from irl_probe.envs.tabular import TabularEnv, TabularMDP

# Makes a change of this size in an environment, or maps P of a tabular MDP to the changed P.
Change = Callable[[Any, float], Any]
Unit = Literal["factor", "probability", "number", "switch"]


@dataclass(frozen=True)
class Parameter:
    """A parameter of an environment's dynamics that can be changed.

    Attributes:
        change: makes the change in the environment without its wrappers; for a tabular MDP, it maps P to the changed P.
        factors: the values that `variants` uses by default.
        unit: what a value is: a "factor" (positive), a "probability", a "number" from 1 to the largest of `factors`, or
            1 for a "switch".
    """

    change: Change
    factors: tuple[float, ...] = (0.5, 2.0)
    unit: Unit = "factor"

    def check(self, name: str, factor: float) -> None:
        """Raise ValueError unless this parameter can have the value `factor`."""
        must = {
            "factor": ("a positive factor, 1 for no change", 0 < factor < np.inf),
            "probability": ("a probability above 0 and at most 1", 0 < factor <= 1),
            "number": (
                f"a whole number from 1 to {max(self.factors):g}",
                factor in range(1, int(max(self.factors)) + 1),
            ),
            "switch": ("1, since it is on or absent", factor == 1),
        }
        what, holds = must[self.unit]
        if not holds:
            raise ValueError(f"The change {name!r} takes {what}; got {factor:g}.")


def changed(env: Env, parameter: str, factor: float) -> Env:
    """A newly made environment with a change to its dynamics; its reward for a transition stays the same.

    Its id becomes that of the variant, "Hopper-v5[mass=2]", from which `make_env` can make it again.

    Raises ValueError for an environment without changes, an unknown parameter, or a value that it cannot have.
    """
    name = env_name(env)
    base: Any = env.unwrapped
    if isinstance(base, TabularEnv):
        mdp = changed_mdp(base.mdp, parameter, factor)
        return tabular_variant(mdp, variant_id(name, parameter, factor), horizon=base.horizon)
    found = find_parameter(parameters_of(env), parameter, name)
    found.check(parameter, factor)
    found.change(base, factor)
    return renamed(env, variant_id(name, parameter, factor))


def renamed(env: Env, env_id: str) -> Env:
    """The environment itself, with another id in its spec, if it has one."""
    spec = copy.deepcopy(env.unwrapped.spec)
    if spec is not None:
        spec.id = env_id
        env.unwrapped.spec = spec
        for layer in layers(env):  # each wrapper caches the spec when it is first read
            if isinstance(layer, gym.Wrapper):
                layer._cached_spec = None
    return env


def changed_mdp(mdp: TabularMDP, parameter: str, factor: float) -> TabularMDP:
    """The MDP with changed transitions and its old reward table R(s, a, s′). Raises ValueError like `changed`."""
    found = find_parameter(TABULAR, parameter, mdp.name)
    found.check(parameter, factor)
    transition: Floats = found.change(mdp.transition, factor)
    return replace(mdp, transition=transition)


def tabular_variant(mdp: TabularMDP, name: str, **options: Any) -> TabularEnv:
    """The environment of a changed MDP, with the id of the variant."""
    env = TabularEnv(mdp, **options)
    assert env.spec is not None
    env.spec.id = name
    return env


def parameters_of(env: Env) -> Mapping[str, Parameter]:
    """The parameters of an environment that can be changed, by name. Raises ValueError if there are none."""
    if isinstance(env.unwrapped, TabularEnv):
        return TABULAR
    found = CHANGES.get(kind(env))
    if found is None:
        raise ValueError(
            "Dynamics can be changed in tabular MDPs and in these environments: "
            f"{', '.join(sorted(CHANGES))}; {env_name(env)} "
            "is not one of them. Make the changed environment yourself, and give transfer both: "
            f"env=[Variant({env_name(env)!r}, function=make), Variant({env_name(env)!r}, 'wind', 2.0, "
            "function=make_changed)] with Variant of irl_probe.envs; each function makes a new environment."
        )
    return found


def find_parameter(known: Mapping[str, Parameter], parameter: str, name: str) -> Parameter:
    """The parameter of that name; ValueError for an unknown one, with the nearest."""
    if parameter in known:
        return known[parameter]
    hint = did_you_mean(parameter, known)
    raise ValueError(f"{name} can be changed in {', '.join(known)}; got {parameter!r}.{hint}")


def variant_id(env_id: str, parameter: str, factor: float) -> str:
    """The id of a variant, such as "Hopper-v5[mass=2]"."""
    return f"{env_id}[{parameter}={factor:g}]"


def split_variant_id(env_id: str) -> tuple[str, str, float] | None:
    """Base id, parameter and factor of a variant's id; [parameter] alone means [parameter=1]. None for any other id.

    Raises ValueError if the factor is not a number.
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


def env_name(env: Env) -> str:
    """The id in the environment's spec, or the name of its class."""
    return env.spec.id if env.spec is not None else type(env.unwrapped).__name__


def kind(env: Env) -> str:
    """The kind of an environment: its module in Gymnasium or here ("cartpole", "hopper_v5"), or its class's path."""
    module = type(env.unwrapped).__module__
    if module.startswith(("gymnasium.envs.", "irl_probe.envs.")):
        return module.rpartition(".")[2]
    return f"{module}.{type(env.unwrapped).__qualname__}"


# Changes to tabular MDPs and to classic control


def _slip(transition: Floats, probability: float) -> Floats:
    """P′(·|s, a) = (1 − p)·P(·|s, a) + p·mean_b P(·|s, b): with probability p a uniformly drawn action replaces a."""
    mixed: Floats = (1 - probability) * transition + probability * transition.mean(axis=1, keepdims=True)
    return mixed


def _swap(transition: Floats, _: float) -> Floats:
    """Swap actions 0 and 1, 2 and 3, and so on (left and right, up and down); a last action without a partner stays."""
    actions = np.arange(transition.shape[1])
    partner = np.where((actions ^ 1) < len(actions), actions ^ 1, actions)
    return np.asarray(transition[:, partner])


def _times(*attributes: str) -> Change:
    """The change that multiplies these attributes of the environment by the factor."""

    def change(env: Any, factor: float) -> None:
        for attribute in attributes:
            setattr(env, attribute, getattr(env, attribute) * factor)

    return change


def _cartpole(*attributes: str) -> Change:
    """Like `_times`, for CartPole, which also keeps sums and products of its attributes."""

    def change(env: Any, factor: float) -> None:
        _times(*attributes)(env, factor)
        env.total_mass = env.masspole + env.masscart
        env.polemass_length = env.masspole * env.length

    return change


# Changes to MuJoCo models


def mass(env: Any, factor: float) -> None:
    """All masses, and with them the inertias, times `factor`; the shapes of the bodies stay the same."""
    env.model.body_mass[:] *= factor
    env.model.body_inertia[:] *= factor
    _recompute(env)


def gravity(env: Any, factor: float) -> None:
    """Gravity times `factor`."""
    env.model.opt.gravity[:] *= factor


def friction(env: Any, factor: float) -> None:
    """Sliding friction of all geoms times `factor`; a contact uses the larger friction of its two geoms."""
    env.model.geom_friction[:, 0] *= factor


def strength(env: Any, factor: float) -> None:
    """The gear of the actuators, and so their forces, times `factor`; the cost of an action stays the same."""
    env.model.actuator_gear[:] *= factor


def damping(env: Any, factor: float) -> None:
    """Damping of all joints times `factor`."""
    env.model.dof_damping[:] *= factor


def disabled_leg(env: Any, number: float) -> None:
    """Gear 0 for the motors of Ant's leg `number` (1 to 4, as in the model's joint names): they have no force."""
    for joint in (f"hip_{number:g}", f"ankle_{number:g}"):
        actuators = env.model.actuator_trnid[:, 0] == env.model.joint(joint).id
        env.model.actuator_gear[actuators] = 0.0


def moved_wall(env: Any, _: float) -> None:
    """The wall of the maze mirrored, x → −x: its gap is on the other side."""
    env.model.body("wall").pos[0] *= -1
    _recompute(env)


def length(*geoms: str) -> Change:
    """The change that makes the bodies of these capsules (the only geom of each) `factor` times as long.

    The radius stays the same. The capsule is stretched from the joint on which its body hangs, and the bodies at its
    end move with it. Mass and inertia follow at the old density. If the body would then reach into the ground, the
    first position is raised by that height. Joint limits, springs, damping, armature, actuators, and the heights at
    which an episode ends do not change.
    """

    def change(env: Any, factor: float) -> None:
        bottom = _lowest_point(env)
        for geom in geoms:
            _stretch(env.model, env.model.geom(geom).id, factor)
        _recompute(env)
        height = _root_height(env.model)
        env.init_qpos = env.init_qpos.copy()
        env.init_qpos[height] += bottom - _lowest_point(env)

    return change


def capsule(radius: float, half_length: float) -> tuple[float, float, float]:
    """Volume, and the moments of inertia across and along the axis, of a capsule of density 1.

    It is a cylinder of length 2l and two half spheres. With m_c = 2πr²l and m_s = 4πr³/3 the moment along the axis is
    m_c r²/2 + 2 m_s r²/5, and the moment across it is m_c (r²/4 + l²/3) + m_s (2r²/5 + l² + 3rl/4).
    """
    r, half = radius, half_length
    cylinder, sphere = 2 * np.pi * r**2 * half, 4 / 3 * np.pi * r**3
    along = cylinder * r**2 / 2 + sphere * 2 * r**2 / 5
    across = cylinder * (r**2 / 4 + half**2 / 3) + sphere * (2 * r**2 / 5 + half**2 + 3 * r * half / 4)
    return cylinder + sphere, across, along


def _stretch(model: Any, geom: int, factor: float) -> None:
    """Stretch one capsule, with the mass and inertia of its body and the positions of the bodies at its end."""
    body = int(model.geom_bodyid[geom])
    anchor = _anchor(model, body)
    radius, half, _ = model.geom_size[geom]
    before, after = capsule(radius, half), capsule(radius, factor * half)
    density = model.body_mass[body] / before[0]
    along = np.abs(model.body_inertia[body] - density * before[2]).argmin()
    model.geom_size[geom, 1] = factor * half
    model.geom_pos[geom] = anchor + factor * (model.geom_pos[geom] - anchor)
    model.geom_rbound[geom] = factor * half + radius
    model.geom_aabb[geom, 5] = factor * half + radius
    model.bvh_aabb[model.body_bvhadr[body]] = model.geom_aabb[geom]
    model.body_mass[body] = density * after[0]
    model.body_inertia[body] = density * after[1]
    model.body_inertia[body, along] = density * after[2]
    model.body_ipos[body] = model.geom_pos[geom]
    for child in map(int, np.flatnonzero(model.body_parentid == body)):
        if child != body:
            attached = model.body_pos[child] + _anchor(model, child)
            model.body_pos[child] += (factor - 1) * (attached - anchor)


def _anchor(model: Any, body: int) -> Floats:
    """The point where a body hangs on its parent, in its own frame: its last joint, or its origin."""
    joints = model.body_jntnum[body]
    if joints == 0:
        return np.zeros(3)
    return np.array(model.jnt_pos[model.body_jntadr[body] + joints - 1])


def _root_height(model: Any) -> int:
    """The index in qpos of the root's height: of a free joint, or of the first that slides along z."""
    import mujoco  # an optional package, installed here because the environment runs on it

    for joint in range(model.njnt):
        address = int(model.jnt_qposadr[joint])
        if model.jnt_type[joint] == mujoco.mjtJoint.mjJNT_FREE:
            return address + 2
        if model.jnt_type[joint] == mujoco.mjtJoint.mjJNT_SLIDE and model.jnt_axis[joint, 2] == 1:
            return address
    raise ValueError("A body whose lengths change must have a root that can be raised; the root of this model cannot.")


def _lowest_point(env: Any) -> float:
    """The height of the lowest capsule or sphere, m, in the first position."""
    import mujoco

    data = mujoco.MjData(env.model)
    data.qpos[:] = env.init_qpos
    mujoco.mj_kinematics(env.model, data)
    types = env.model.geom_type
    round_ = np.isin(types, (mujoco.mjtGeom.mjGEOM_CAPSULE, mujoco.mjtGeom.mjGEOM_SPHERE))
    half = np.where(types == mujoco.mjtGeom.mjGEOM_CAPSULE, env.model.geom_size[:, 1], 0.0)
    axis_height = abs(data.geom_xmat[:, 8])  # z component of each geom's own z axis
    return float((data.geom_xpos[:, 2] - half * axis_height - env.model.geom_size[:, 0])[round_].min())


def _recompute(env: Any) -> None:
    """Recompute what MuJoCo derives from masses and positions (inverse weights, total masses, lengths)."""
    import mujoco

    mujoco.mj_setConst(env.model, mujoco.MjData(env.model))


# What can be changed, by kind of environment

TABULAR: Mapping[str, Parameter] = {
    "slip": Parameter(_slip, (0.2, 0.5), "probability"),
    "swapped actions": Parameter(_swap, (1.0,), "switch"),
}

_LINKS = ("LINK_LENGTH_1", "LINK_LENGTH_2", "LINK_COM_POS_1", "LINK_COM_POS_2")

_MODEL = {
    "mass": Parameter(mass),
    "strength": Parameter(strength),
    "damping": Parameter(damping),
}

_STANDING = _MODEL | {"gravity": Parameter(gravity, (0.7, 1.3)), "friction": Parameter(friction)}


def _longer(*geoms: str) -> Parameter:
    return Parameter(length(*geoms), (0.8, 1.2))


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
    "point_maze": {"moved wall": Parameter(moved_wall, (1.0,), "switch"), **_MODEL},
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
        "disabled leg": Parameter(disabled_leg, (1.0, 2.0, 3.0, 4.0), "number"),
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

# The unit of every parameter above, by name; parameters with the same name have the same unit.
UNITS: Mapping[str, Unit] = {
    name: parameter.unit for table in (TABULAR, *CHANGES.values()) for name, parameter in table.items()
}
