"""Gymnasium environments that pay a reward model, or any other reward, instead of their own."""

from __future__ import annotations

import re
import warnings
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv, VectorWrapper
from gymnasium.wrappers import Autoreset

from irl_probe._plain import action_rows, many_observations, named, one_observation
from irl_probe._spaces import Space
from irl_probe._steps import check_distinct, copied, layers, step_copied
from irl_probe._types import Array, Bools, Floats
from irl_probe.rewards.model import RewardModel
from irl_probe.rewards.protocol import (
    NORMALISE,
    Normalisation,
    Normalise,
    Reward,
    RewardError,
    check_callable,
    check_values,
)


class RewardWrapper(gym.Wrapper[Any, Any, Any, Any]):
    """An environment that pays `reward`; its own reward is in `info["true_reward"]`.

    A wrapper around a wrapper pays its own reward, and keeps the `true_reward` of the inner one.

    Any RL library that trains on a Gymnasium environment trains on the recovered reward with it. Such a learner takes
    the value after termination to be 0. Where the reward's convention is "absorbing" the last step therefore pays
    r + γ·V_abs (`RecoveredReward.tail`): what the absorbing state would pay for ever is paid at once, and the best
    policy is the same. A truncated episode pays r alone: V(s′) still counts, and the learner must bootstrap it.

    A Box action beyond the bounds that a recovered or distilled reward was learned with is paid as the bound, because
    most environments clip it too. The environment gets it unclipped, and so does a reward that is a plain function.

    A reward gets flat observations of a Dict or Tuple space, as gymnasium.wrappers.FlattenObservation makes them; those
    of a Dict have their parts by name too, observations["goal"]. The learner gets what the environment returns.

    Around gymnasium.wrappers.Autoreset the step after an episode's end only resets. It is not a step of the MDP: it
    pays 0, and its `info["reset_step"]` is True.

    Args:
        env: the environment.
        reward: the reward that it pays.
        normalise: "none" pays the reward itself. "running" divides it by the standard deviation of all rewards so far,
            this step included, and starts from `reward.normalisation` if there is one. "frozen" divides by the standard
            deviation in `reward.normalisation`, which does not change. See `Normalisation`.

    `env.paid_reward` is the reward with the current normalisation, to be saved with `save_reward`.

    Raises RewardError where the environment's spaces do not fit the reward's (both are named), and where a frozen
    normalisation is asked for and the reward has none. Warns where the spaces fit but the environment has another name
    than the one in which the reward was learned; versions and variants share a name.
    """

    def __init__(self, env: gym.Env[Any, Any], reward: Reward, *, normalise: Normalise = "none") -> None:
        super().__init__(env)
        check_fit(reward, env.observation_space, env.action_space)
        warn_of_another_env(reward, env.spec)
        self.reward = reward
        self.payment = Payment(reward, normalise, (env.observation_space, env.action_space))
        self._observation: Array | None = None
        self._resets_itself = any(isinstance(layer, Autoreset) for layer in layers(env))
        self._ended = False

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Reset the environment; its first observation is the first step's s."""
        observation, info = self.env.reset(seed=seed, options=options)
        self._observation, self._ended = one_observation(self.env.observation_space, observation), False
        return observation, info

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Step the environment and pay r(s, a, s′), with the tail where it terminated; 0 where it was only reset."""
        if self._observation is None:
            raise RewardError("An environment must be reset before its first step; call reset() first.")
        step, reset = step_copied(self.env, action), self._ended and self._resets_itself
        successor = one_observation(self.env.observation_space, step.observation)
        mdp = np.array([False]) if reset else None
        taken = (self._observation[None], np.asarray(step.action)[None], successor[None])
        paid = self.payment(*taken, np.array([step.terminated]), mdp=mdp)
        self._observation, self._ended = successor, step.terminated or step.truncated
        info = {**step.info, "true_reward": step.true_reward}
        if self._resets_itself:
            info["reset_step"] = reset
        return copied(step.observation), float(paid[0]), step.terminated, step.truncated, info

    @property
    def paid_reward(self) -> RewardModel:
        """The reward with its current normalisation."""
        return self.payment.normalised_reward


class VectorRewardWrapper(VectorWrapper[Any, Any, Any, Any, Any]):
    """A vector environment that pays `reward`, by one call for all of its environments; see `RewardWrapper`.

    One running normalisation is shared by all environments; reset steps do not count.

    The successor s′ of an episode's last step is its final observation, under each of Gymnasium's autoreset modes:
    with SAME_STEP it is read from `infos["final_obs"]`; with NEXT_STEP it is the observation itself, and the step
    after it only resets. That one is not a step of the MDP: it pays 0, its `infos["reset_step"]` is True, and a learner
    must leave it out. With DISABLED the caller resets.

    `infos["true_reward"]` (n,) holds the environments' own rewards, also where an inner wrapper, around the vector
    environment or around one of its parts, pays another reward; `infos["_true_reward"]` is False at reset steps.

    Raises RewardError where the spaces of one environment do not fit the reward's (both are named), and where the
    vector environment does not say how it resets itself; ValueError where one of its environments is there twice. Warns
    as `RewardWrapper` does.
    """

    def __init__(self, env: VectorEnv[Any, Any, Any], reward: Reward, *, normalise: Normalise = "none") -> None:
        super().__init__(env)
        check_fit(reward, env.single_observation_space, env.single_action_space)
        warn_of_another_env(reward, env.spec)
        mode = env.metadata.get("autoreset_mode")
        if not isinstance(mode, AutoresetMode):
            raise RewardError(
                "A vector environment says how it resets itself, by an AutoresetMode in metadata['autoreset_mode']; "
                f"got {mode!r}. Make it with gymnasium.make_vec, or set it."
            )
        if isinstance(env.unwrapped, SyncVectorEnv):
            check_distinct(env.unwrapped.envs)
        self.reward = reward
        self.payment = Payment(reward, normalise, (env.single_observation_space, env.single_action_space))
        self._mode = mode
        self._observations: Array | None = None
        self._ended = np.zeros(env.num_envs, dtype=bool)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Reset all environments, or those of `options["reset_mask"]`."""
        mask = (options or {}).get("reset_mask")  # read first: environments take it out of the options
        observations, infos = self.env.reset(seed=seed, options=options)
        self._observations = many_observations(self.env.single_observation_space, observations)
        self._ended[slice(None) if mask is None else mask] = False
        return observations, infos

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """Step all environments and pay r(s, a, s′) in each, 0 where the step was only a reset."""
        if self._observations is None:
            raise RewardError("An environment must be reset before its first step; call reset() first.")
        taken = np.array(actions)
        observations, true_rewards, terminated, truncated, infos = self.env.step(copied(actions))
        after = many_observations(self.env.single_observation_space, observations)
        ended = terminated | truncated
        successors = self._successors(after, ended, infos)
        steps = (self._observations, taken, successors, np.asarray(terminated, dtype=bool))
        none = np.zeros(self.num_envs, dtype=bool)
        resets = self._ended if self._mode is AutoresetMode.NEXT_STEP else none
        mdp = ~resets
        rewards = self.payment(*steps, mdp=None if resets is none else mdp)
        self._observations, self._ended = after, np.array(ended, dtype=bool)
        infos = {
            **infos,
            "true_reward": _true_rewards(true_rewards, infos),
            "_true_reward": mdp,
            "reset_step": resets,
            "_reset_step": ~none,
        }
        return observations, rewards, terminated, truncated, infos

    @property
    def paid_reward(self) -> RewardModel:
        """The reward with its current normalisation."""
        return self.payment.normalised_reward

    def _successors(self, after: Array, ended: Bools, infos: dict[str, Any]) -> Array:
        """The true successors; under SAME_STEP `after` has the observations after a reset instead."""
        if self._mode is not AutoresetMode.SAME_STEP or not ended.any():
            return after
        successors = after.copy()
        last = [one_observation(self.env.single_observation_space, each) for each in infos["final_obs"][ended]]
        successors[ended] = np.stack(last)
        return successors


def _true_rewards(paid: Any, infos: dict[str, Any]) -> Floats:
    """The environments' own rewards, (n,): what an inner wrapper recorded, else what they paid.

    For an environment that ended under SAME_STEP, `infos` are those of the reset; the step's are in `final_info`.
    """
    own = np.array(paid, dtype=np.float64)
    for recorded in (infos, infos.get("final_info", {})):
        if "true_reward" in recorded:
            own = np.where(recorded.get("_true_reward", True), recorded["true_reward"], own)
    return own


class Payment:
    """The reward of each step, (N,), with γ·V_abs where the MDP ended and the convention is absorbing, normalised.

    Box actions get the shape of their space, also where they were given as numbers. A recovered or distilled reward
    clips them to the bounds that it was learned with; a plain function gets them unclipped. `of` are the spaces of what
    is paid for, if known.

    Attributes:
        normalisation: the current one, or None.

    Raises RewardError for an unknown `normalise`, and for "frozen" with a reward that holds no normalisation.
    """

    def __init__(self, reward: Reward, normalise: Normalise, of: tuple[Space, Space] | None = None) -> None:
        check_callable(reward)
        if normalise not in NORMALISE:
            raise RewardError(f"'normalise' must be one of {', '.join(NORMALISE)}; got {normalise!r}.")
        model = reward if isinstance(reward, RewardModel) else None
        saved = None if model is None else model.normalisation
        if normalise == "frozen" and saved is None:
            raise RewardError(
                "A frozen normalisation must be one that was saved with the reward; this reward has none. Train with "
                "normalise='running' first, and save env.paid_reward."
            )
        self.normalisation = None if normalise == "none" else saved or Normalisation()
        self._reward, self._model, self._running = reward, model, normalise == "running"
        self._of = of if of is not None or model is None else (model.observation_space, model.action_space)
        self._tail = 0.0 if model is None else model.tail
        self._name = type(reward).__name__

    def __call__(
        self,
        observations: Array,
        actions: Array,
        successors: Array,
        terminated: Bools,
        *,
        mdp: Bools | None = None,
    ) -> Floats:
        """The reward of each step; 0 where `mdp` is False, because the step is not one of the MDP. None: all are."""
        if self._of is not None:
            actions = action_rows(self._of[1], actions)
            observations, successors = (named(self._of[0], each) for each in (observations, successors))
        values = check_values(
            self._reward(observations, actions, successors, terminated), len(observations), name=self._name
        )
        if self._tail:
            values = values + self._tail * terminated
        if self.normalisation is not None:
            if self._running:
                self.normalisation = self.normalisation.updated(values if mdp is None else values[mdp])
            values = self.normalisation(values)
        return values if mdp is None else np.where(mdp, values, 0.0)

    @property
    def normalised_reward(self) -> RewardModel:
        """The reward with the current normalisation. Raises RewardError for a reward that cannot hold one."""
        if self._model is None:
            raise RewardError(
                "Only a recovered or distilled reward can hold a normalisation; "
                f"a {self._name} has no place for it. Keep env.payment.normalisation yourself."
            )
        if self.normalisation is None:
            return self._model
        return self._model.normalised(self.normalisation)


def check_fit(reward: Reward, observation_space: Space, action_space: Space) -> None:
    """Raise RewardError if the reward has spaces and does not take these."""
    if isinstance(reward, RewardModel):
        reward.check_spaces(observation_space, action_space)


def warn_of_another_env(reward: Reward, spec: EnvSpec | None) -> None:
    """Warn if the reward was learned in an environment of another name."""
    known = reward.provenance.get("env_id") if isinstance(reward, RewardModel) else None
    if isinstance(known, str) and spec is not None and _name(known) != _name(spec.id):
        warnings.warn(
            f"This reward was learned in {known} and pays in {spec.id}: the spaces fit, but what the observations "
            "and actions mean may differ. Check that they mean the same.",
            stacklevel=3,
        )


def _name(env_id: str) -> str:
    """An id without its module, version and change of dynamics: "Hopper" of "module:Hopper-v5[mass=2]"."""
    return re.sub(r"^.*:|(-v\d+)?(\[.*\])?$", "", env_id)
