"""`check_demos`: do demonstrations fit an environment?"""

from __future__ import annotations

import numpy as np
from gymnasium import spaces

from irl_probe._plain import to_plain_actions, to_plain_observations
from irl_probe._spaces import Env, Space
from irl_probe._types import Array
from irl_probe.demos.assembly import guarded
from irl_probe.demos.demonstrations import DemoError, Demonstrations
from irl_probe.demos.sanity import dynamics_fault, order_fault
from irl_probe.envs import make_env

_ROUNDING = 1e-6  # allowed beyond a bound, for actions that were stored as float32


def check_demos(demos: Demonstrations, env: str | Env | tuple[Space, Space]) -> None:
    """Raise DemoError, with what was found and what to do, unless `demos` could have been made in `env`.

    Args:
        demos: the demonstrations.
        env: an id for `envs.make_env`, an environment, which is not stepped, or the pair (observation space, action
            space), which has no dynamics to check.

    It checks the kind (discrete or continuous) and shape of observations and actions, that discrete ones are in range,
    and that continuous actions are within the bounds, up to a rounding error of 1e-6. It does not check the bounds of
    continuous observations, which many environments state only roughly. Observations of a Dict or Tuple space are flat.

    The successors must be in order: next_observations[t] is observations[t + 1] within an episode, unless steps were
    left out, and never the observation after a reset.

    The environment must reproduce the steps, where it can be asked (`sanity.dynamics_fault`): a simulator repeats 64
    of them, or the first episode is replayed. This finds shifted, scaled or renumbered actions, and other dynamics.
    """
    if isinstance(env, str):
        made = make_env(env)
        try:
            check_demos(demos, made)
        finally:
            made.close()
        return
    if isinstance(env, tuple):
        observation_space, action_space = env
    else:
        observation_space, action_space = env.observation_space, env.action_space
    check_spaces(demos, observation_space, action_space)
    if fault := order_fault(demos) or ("" if isinstance(env, tuple) else dynamics_fault(demos, env)):
        raise DemoError(fault)


def checked(demos: Demonstrations) -> str:
    """Check demonstrations against the environment that they name; what was checked, in words.

    Raises DemoError as `check_demos` does.
    """
    if demos.env_id is None:
        if fault := order_fault(demos):
            raise DemoError(fault)
        return "checked      the order of the successors; name an environment (--env) to check spaces and dynamics"
    try:
        env = make_env(demos.env_id)
    except (ValueError, ImportError) as error:
        return f"not checked  {demos.env_id} cannot be made: {error}"
    try:
        check_demos(demos, env)
    finally:
        env.close()
    return f"checked      no fault was found against {demos.env_id}"


def check_spaces(demos: Demonstrations, observation_space: Space | None, action_space: Space | None) -> None:
    """Raise DemoError unless observations and actions are in these spaces; None is not checked."""
    t = demos.transitions
    where = f"The demonstrations ({demos.source}) do not fit the environment"
    if isinstance(observation_space, spaces.Box | spaces.Discrete):
        _check_kind(demos, "observation", t.observations, observation_space)
    elif observation_space is not None:
        seen = observation_space
        guarded(where, lambda: [to_plain_observations(seen, o) for o in (t.observations, t.next_observations)])
    if isinstance(observation_space, spaces.Discrete):
        _check_bounds(demos, "observation", t.observations, observation_space)
        _check_bounds(demos, "observation", t.next_observations, observation_space)
    if isinstance(action_space, spaces.Box | spaces.Discrete):
        _check_kind(demos, "action", t.actions, action_space)
        _check_bounds(demos, "action", t.actions, action_space)
    elif action_space is not None:
        done = action_space
        guarded(where, lambda: to_plain_actions(done, t.actions))


def _check_kind(demos: Demonstrations, what: str, values: Array, space: Space) -> None:
    discrete = values.ndim == 1 and values.dtype.kind in "iu"
    wants_discrete = isinstance(space, spaces.Discrete)
    if discrete != wants_discrete:
        kinds = {True: "discrete", False: "continuous"}
        raise DemoError(
            f"The {what}s of the demonstrations ({demos.source}) are {kinds[discrete]} ({values.dtype}, shape "
            f"{values.shape[1:]}), and those of the environment are {kinds[wants_discrete]} ({space}). "
            "Use demonstrations of this environment, or the environment they were made in."
        )
    if values.shape[1:] != space.shape:
        raise DemoError(
            f"The {what}s of the demonstrations ({demos.source}) have shape {values.shape[1:]}, and those of the "
            f"environment {space.shape} ({space}). Use the same environment, version and options on both sides."
        )


def _check_bounds(demos: Demonstrations, what: str, values: Array, space: Space) -> None:
    if isinstance(space, spaces.Discrete):
        low, high = np.asarray(space.start), np.asarray(space.start + space.n - 1)
    elif isinstance(space, spaces.Box):
        low, high = space.low.astype(np.float64), space.high.astype(np.float64)
    x = values.astype(np.float64)
    excess = np.maximum(low - x, x - high)
    if not (excess > _ROUNDING).any():
        return
    row, *component = (int(i) for i in np.unravel_index(int(np.argmax(excess)), excess.shape))
    t = demos.transitions
    start = int(t.starts[np.searchsorted(t.starts, row, side="right") - 1])
    outside = int((excess > _ROUNDING).reshape(len(x), -1).any(axis=1).sum())
    place = f", component {component[0] if len(component) == 1 else tuple(component)}" if component else ""
    raise DemoError(
        f"The {what}s must lie in {space}; {outside} of {len(x)} in the demonstrations ({demos.source}) do not. "
        f"The worst is {values[(row, *component)]}, outside by {excess.max():.6g}: episode "
        f"{t.episode[row]}, step {row - start}{place}. Give {what}s in the environment's units."
    )
