"""Changes to a compiled MuJoCo model: of its arrays, never of its XML."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Change = Callable[[Any, float], None]


def mass(env: Any, factor: float) -> None:
    """All masses, and with them the inertias, times `factor`: the bodies' shapes stay as they are."""
    env.model.body_mass[:] *= factor
    env.model.body_inertia[:] *= factor
    _recompute(env)


def gravity(env: Any, factor: float) -> None:
    """Gravity times `factor`."""
    env.model.opt.gravity[:] *= factor


def friction(env: Any, factor: float) -> None:
    """Sliding friction of all geoms times `factor`; a contact takes the larger of its two."""
    env.model.geom_friction[:, 0] *= factor


def strength(env: Any, factor: float) -> None:
    """The actuators' gear, and so their forces, times `factor`; what an action costs stays."""
    env.model.actuator_gear[:] *= factor


def damping(env: Any, factor: float) -> None:
    """Damping of all joints times `factor`."""
    env.model.dof_damping[:] *= factor


def disabled_leg(env: Any, number: float) -> None:
    """The motors of Ant's leg `number` (1 to 4, as in the model's joint names) pull at nothing: gear 0."""
    for joint in (f"hip_{number:g}", f"ankle_{number:g}"):
        actuators = env.model.actuator_trnid[:, 0] == env.model.joint(joint).id
        env.model.actuator_gear[actuators] = 0.0


def moved_wall(env: Any, _: float) -> None:
    """The maze's wall mirrored, x → −x: its gap changes sides."""
    env.model.body("wall").pos[0] *= -1
    _recompute(env)


def length(*geoms: str) -> Change:
    """The bodies that hold these capsules (the only geom of each), `factor` times as long and as thick as before.

    The capsule is stretched from the joint that its body hangs on; what hangs on its end moves along; mass and inertia
    follow at the old density. Where the body would then stand in the ground the first position is raised by as much.
    Not changed: joint limits, springs, damping, armature, actuators, and the heights at which an episode ends.
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

    A cylinder of length 2l and two half spheres: with m_c = 2πr²l and m_s = 4πr³/3 the moment along is
    m_c r²/2 + 2 m_s r²/5, that across m_c (r²/4 + l²/3) + m_s (2r²/5 + l² + 3rl/4).
    """
    r, half = radius, half_length
    cylinder, sphere = 2 * np.pi * r**2 * half, 4 / 3 * np.pi * r**3
    along = cylinder * r**2 / 2 + sphere * 2 * r**2 / 5
    across = cylinder * (r**2 / 4 + half**2 / 3) + sphere * (2 * r**2 / 5 + half**2 + 3 * r * half / 4)
    return cylinder + sphere, across, along


def _stretch(model: Any, geom: int, factor: float) -> None:
    """One capsule, its body's mass and inertia, and the places of the bodies at its end."""
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
    """Where a body hangs on its parent, in its own frame: its last joint, or its origin."""
    joints = model.body_jntnum[body]
    if joints == 0:
        return np.zeros(3)
    return np.array(model.jnt_pos[model.body_jntadr[body] + joints - 1])


def _root_height(model: Any) -> int:
    """The index in qpos of the root's height: of a free joint, or of the first that slides along z."""
    import mujoco  # an extra: here it is installed, for the environment runs on it

    for joint in range(model.njnt):
        address = int(model.jnt_qposadr[joint])
        if model.jnt_type[joint] == mujoco.mjtJoint.mjJNT_FREE:
            return address + 2
        if model.jnt_type[joint] == mujoco.mjtJoint.mjJNT_SLIDE and model.jnt_axis[joint, 2] == 1:
            return address
    raise ValueError("A body whose lengths change must have a root that can be raised; this model's cannot.")


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
    """The constants that MuJoCo derives from masses and positions (inverse weights, total masses, lengths)."""
    import mujoco

    mujoco.mj_setConst(env.model, mujoco.MjData(env.model))
