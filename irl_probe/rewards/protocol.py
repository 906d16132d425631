"""The protocol of rewards: any callable of a batch of transitions, and the checks of what it takes and returns."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, Protocol, get_args

import numpy as np
from gymnasium import spaces

from irl_probe._plain import bounded_actions, same_units, to_plain_actions, to_plain_observations
from irl_probe._spaces import Space
from irl_probe._types import Array, Bools, Floats, flags
from irl_probe.softq import NetworkSpec
from irl_probe.transitions import Transitions

Normalise = Literal["none", "running", "frozen"]
NORMALISE: tuple[Normalise, ...] = get_args(Normalise)
_LEAST = 1e-12  # rewards with a standard deviation below this share of |mean| count as constant


class RewardError(ValueError):
    """A reward that cannot be recovered, evaluated, saved, loaded or used; the message says what to do."""


class Reward(Protocol):
    """r(s, a, s′, terminated) of N transitions at once: (N,) float64, in reward units per environment step.

    The arguments are shaped like the fields of `Transitions` and are given by position, as in imitation, so rewards of
    either library work in the other. A plain function is a reward too.
    """

    def __call__(
        self, observations: Array, actions: Array, next_observations: Array, terminated: Bools, /
    ) -> Floats: ...


def evaluate_reward(reward: Reward, transitions: Transitions, *, name: str) -> Floats:
    """The reward of every transition, (N,) float64, checked.

    Args:
        reward: what to evaluate.
        transitions: N steps; their true rewards are not shown to `reward`.
        name: what messages call the reward.

    Raises RewardError that names the reward unless it gives one finite real number a transition.
    """
    t = transitions
    return check_values(reward(t.observations, t.actions, t.next_observations, t.terminated), len(t), name=name)


def check_callable(reward: Reward) -> None:
    """Raise RewardError for a value that is not callable, such as the name of a reward."""
    if not callable(reward):
        raise RewardError(
            "A reward must be a function reward(observations, actions, next_observations, terminated); "
            f"got {reward!r}. Read a saved one with irl_probe.load_reward."
        )


def check_values(values: object, count: int, *, name: str) -> Floats:
    """`values` as (count,) float64. Raises RewardError unless they are `count` finite real numbers."""
    if np.ma.is_masked(values):
        raise RewardError(
            f"The reward {name!r} must give a number for every transition; some of its values are masked."
        )
    array = np.asarray(values)
    if array.dtype.kind not in "fiu":
        raise RewardError(
            f"The reward {name!r} must give real numbers; got dtype {array.dtype}. Convert it to float64."
        )
    if array.shape != (count,):
        hint = "Flatten them with .reshape(-1)." if array.size == count else "It is called once with the whole batch."
        raise RewardError(
            f"The reward {name!r} must give one number a transition, shape ({count},); got shape {array.shape}. {hint}"
        )
    result = array.astype(np.float64, copy=False)
    if not math.isfinite(result.sum()):  # usually one pass; if the sum overflows, look closer
        bad = ~np.isfinite(result)
        if not bad.any():
            return result
        row = int(np.argmax(bad))
        raise RewardError(
            f"The reward {name!r} must be finite; at transition {row} it is {result[row]} "
            f"({int(bad.sum())} of {count} are not finite). Look at that transition's observation and action."
        )
    return result


def check_batch(
    spec: NetworkSpec, observations: Array, actions: Array, next_observations: Array, terminated: Bools
) -> None:
    """Raise RewardError unless these are N rows each, with observations and actions that a network of `spec` takes.

    Discrete ones must be whole numbers from 0 to below their count: NumPy would take −1 as the last and .7 as 0.
    """
    check_observations(spec, observations)
    check_observations(spec, next_observations, "next observations")
    if spec.action_count is not None:
        _check_indices("actions", actions, spec.action_count)
    else:
        _check_rows("actions", actions, (len(spec.action_low or ()),))
    count = len(observations)
    if terminated.shape != (count,) or len(actions) != count or len(next_observations) != count:
        raise RewardError(
            "A batch must have as many actions, next observations and marks of termination, shape (N,), as "
            f"observations; got {count} observations, {len(actions)} actions, {len(next_observations)} next "
            f"observations and marks of shape {terminated.shape}. Give the columns of the same transitions."
        )


def check_observations(spec: NetworkSpec, rows: Array, name: str = "observations") -> None:
    """Raise RewardError unless these are rows of observations that a network of `spec` takes."""
    if spec.observation_count is not None:
        _check_indices(name, rows, spec.observation_count)
    else:
        _check_rows(name, rows, spec.observation_shape)


def _check_rows(name: str, rows: Array, shape: tuple[int, ...]) -> None:
    if rows.ndim and rows.shape[1:] == shape:
        return
    if not rows.ndim or math.prod(rows.shape[1:]) != math.prod(shape):
        raise RewardError(
            f"The {name} of a batch must be N rows of shape {tuple(shape)}, as the reward's network takes; got an "
            f"array of shape {rows.shape}. Give transitions of the environment that the reward was learned in."
        )


def _check_indices(name: str, rows: Array, count: int) -> None:
    if rows.ndim != 1:
        raise RewardError(
            f"The {name} of a batch must be N whole numbers, shape (N,), each in Discrete({count}); "
            f"got an array of shape {rows.shape}. Give transitions of the environment that the reward was learned in."
        )
    numbers = rows.astype(np.float64)
    bad = ~((numbers >= 0) & (numbers < count) & (numbers == np.floor(numbers)))
    if bad.any():
        row = int(np.argmax(bad))
        raise RewardError(
            f"The {name} of a batch must lie in Discrete({count}), whole numbers from 0 to {count - 1}; at transition "
            f"{row} it is {rows[row]}. Give transitions of the environment that the reward was learned in."
        )


def check_spaces_fit(
    spec: NetworkSpec, observation_space: Space, action_space: Space, learned_in: object = None
) -> None:
    """Raise RewardError unless a network of shape `spec` takes observations and actions of these spaces.

    `learned_in` is the environment that the reward was learned in, if its provenance names it.
    """
    try:
        wanted = NetworkSpec.of(observation_space, action_space)
    except ValueError as error:
        raise RewardError(str(error)) from error
    for role, space, names in (
        ("observation", observation_space, ("observation_shape", "observation_count")),
        ("action", action_space, ("action_count", "action_low", "action_high")),
    ):
        if any(getattr(wanted, name) != getattr(spec, name) for name in names):
            fit = widest_observations(spec) if role == "observation" else network_actions(spec)
            origin = f" of {learned_in}" if isinstance(learned_in, str) else ""
            raise RewardError(
                f"The reward{origin} takes {role}s of {fit}, and the {role} space is {space}: they must fit. "
                "Use the environment, with the same wrappers, that its demonstrations come from."
            )


def check_same_units(reward_spaces: tuple[Space, Space], given: tuple[Space, Space]) -> None:
    """Raise RewardError where the same number means another thing in the reward's spaces and in the given ones.

    Networks see indices and flat vectors: a Discrete that counts from 1 fits the same network as one from 0.
    """
    for role, own, other in zip(("observation", "action"), reward_spaces, given, strict=True):
        if not same_units(own, other):
            raise RewardError(
                f"The reward takes {role}s of {_said(own)}, and the {role} space is {_said(other)}: they must count "
                "alike and have the same parts. Use the environment, with the same wrappers, that its demonstrations "
                "come from."
            )


def _said(space: Space) -> str:
    return " ".join(str(space).split())


def plain_batch(
    reward_spaces: tuple[Space, Space], spec: NetworkSpec, batch: tuple[Any, Any, Any, Any]
) -> tuple[Array, Array, Array, Bools]:
    """A batch as a network of `spec` takes it, from observations and actions in the units of the reward's spaces.

    Box actions are cut to the bounds of the space, as most environments cut them: beyond them a network extrapolates.

    Raises RewardError where the batch does not lie in the spaces, or holds masked entries.
    """
    observations, actions, successors, terminated = batch
    try:
        o, o2 = (to_plain_observations(reward_spaces[0], rows) for rows in (observations, successors))
        a = to_plain_actions(reward_spaces[1], bounded_actions(reward_spaces[1], actions))
        d = flags(terminated, "terminated")
    except ValueError as error:
        raise RewardError(f"A batch must lie in the spaces that the reward was learned in. {error}") from error
    check_batch(spec, o, a, o2, d)
    return o, a, o2, d


def plain_rows(space: Space, observations: Any) -> Array:
    """Observations as networks see them. Raises RewardError where they do not lie in the space."""
    try:
        return to_plain_observations(space, observations)
    except ValueError as error:
        raise RewardError(str(error)) from error


def widest_observations(spec: NetworkSpec) -> Space:
    """The widest observation space that a network of this shape takes."""
    if spec.observation_count is not None:
        return spaces.Discrete(spec.observation_count)
    return spaces.Box(-np.inf, np.inf, spec.observation_shape, np.float32)


def network_actions(spec: NetworkSpec) -> Space:
    """The action space that a network of this shape takes, with one dimension; float32 where its bounds allow it."""
    if spec.action_count is not None:
        return spaces.Discrete(spec.action_count)
    bounds = np.array([spec.action_low, spec.action_high])
    narrow = bounds.astype(np.float32)
    low, high = narrow if np.array_equal(narrow, bounds) else bounds
    return spaces.Box(low, high, dtype=low.dtype.type)


@dataclass(frozen=True)
class Normalisation:
    """Mean and variance of the rewards paid so far; a reward is normalised by its standard deviation.

    The mean is not subtracted: where episodes end, adding a constant to the reward changes the best policy. A positive
    factor does not. A learner with its own temperature must divide it by the same `scale`.

    Attributes:
        count: rewards seen.
        mean, variance: their mean and population variance, in reward units and their square.

    Raises RewardError where mean or variance is not finite, or count or variance is negative.
    """

    count: int = 0
    mean: float = 0.0
    variance: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.mean) and math.isfinite(self.variance) and self.variance >= 0 and self.count >= 0):
            raise RewardError(
                "A normalisation must have a finite mean, a finite variance and a count, neither below 0; got "
                f"mean {self.mean}, variance {self.variance}, count {self.count}."
            )

    @property
    def scale(self) -> float:
        """What rewards are divided by: the standard deviation, or 1 if that is 0 or unknown."""
        deviation = math.sqrt(self.variance)
        return deviation if self.count > 1 and deviation > _LEAST * abs(self.mean) else 1.0

    def updated(self, values: Floats) -> Normalisation:
        """The normalisation with these rewards added: moments of both parts joined (Chan, Golub and LeVeque 1979)."""
        if not len(values):
            return self
        mean = float(np.add.reduce(values)) / len(values)
        spread = values - mean
        count = self.count + len(values)
        shift, share = mean - self.mean, len(values) / count
        variance = (1 - share) * self.variance + share * float(np.dot(spread, spread)) / len(values)
        return Normalisation(count, self.mean + share * shift, variance + share * (1 - share) * shift**2)

    def __call__(self, values: Floats) -> Floats:
        """Rewards divided by `scale`."""
        scaled: Floats = values / self.scale
        return scaled
