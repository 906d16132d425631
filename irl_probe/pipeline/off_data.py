"""What the canonical distances need besides data: the true reward where nobody has been, and a simulator."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import gymnasium as gym
from gymnasium import spaces

from irl_probe.distances import DistanceConfig
from irl_probe.envs import Simulator, make_env, simulator, true_reward
from irl_probe.envs.true_reward import TrueReward
from irl_probe.rewards import RecoveredReward, Reward
from irl_probe.transitions import Transitions

GAMMA = 0.99  # where no reward says otherwise


@dataclass(frozen=True)
class OffData:
    """What `compare` takes for the canonical distances; all None where they cannot be had, with the reason in words."""

    truth: TrueReward | None = None
    dynamics: Simulator | None = None
    distances: DistanceConfig | None = None
    reason: str = ""


def off_data(
    env_id: str | None, rewards: Iterable[Reward], coverages: Iterable[Transitions] = (), *, seed: int = 0
) -> OffData:
    """The true reward and the simulator of an environment, and how the distances are taken there by default.

    Where the environment has no simulator, EPIC and ERC are taken alone. γ is the one that the recovered rewards share;
    where there is none, or several, it is 0.99, and the results say so.

    Args:
        env_id: the environment; without one they cannot be had.
        rewards: those that will be compared.
        coverages: what they will be compared on; recorded in another version of the environment it may not fit.
        seed: of everything drawn.
    """
    if env_id is None:
        return OffData(reason="Canonical distances ask for the true reward off the data: name the environment (--env).")
    try:
        env = make_env(env_id)
    except (ValueError, ImportError, gym.error.Error) as error:
        return OffData(reason=str(error))
    try:
        shape = env.observation_space.shape
        for steps in coverages:
            if steps.observations.shape[1:] != shape:
                return OffData(
                    reason=f"{env_id} has observations of shape {shape}; the data have {steps.observations.shape[1:]}."
                )
        if len(env.observation_space.shape or ()) > 1:
            return OffData(reason=f"The observations of {env_id} are images; canonical distances are for vectors.")
        if not isinstance(env.action_space, spaces.Discrete | spaces.Box):
            return OffData(reason=f"Canonical distances draw actions from a Discrete or a Box; got {env.action_space}.")
        try:
            truth = true_reward(env)
        except ValueError as error:
            return OffData(reason=str(error))
        shared = {reward.gamma for reward in rewards if isinstance(reward, RecoveredReward)}
        gamma = None if len(shared) == 1 else GAMMA
        return OffData(truth, _simulator(env_id, seed), DistanceConfig(gamma=gamma, seed=seed))
    finally:
        env.close()


def _simulator(env_id: str, seed: int) -> Simulator | None:
    try:
        return simulator(env_id, seed=seed)
    except ValueError:
        return None  # the reason is in the results, beside each figure that is missing
