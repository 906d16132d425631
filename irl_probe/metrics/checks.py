"""Checks of the measures' arguments. Each returns its argument, arrays as float64, or raises ValueError.

Probabilities may miss a sum of 1 by 1e-6, such as those in float32; they are returned with a sum of 1. At γ = .999999
an error of 1e-7 in a row of P would change values by a tenth.
"""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real

import numpy as np
from numpy.typing import ArrayLike

from irl_probe._types import Floats, plain
from irl_probe._words import did_you_mean

PROBABILITY_TOLERANCE = 1e-6


def check_numbers(values: ArrayLike, name: str) -> Floats:
    """`values` as float64. Raises if they are not real, or if one is masked, NaN or infinite (its index is named)."""
    array = plain(values, name)
    if not (np.issubdtype(array.dtype, np.number) or array.dtype == np.bool_) or np.iscomplexobj(array):
        raise ValueError(f"'{name}' must be real numbers; got dtype {array.dtype}.")
    result = array.astype(np.float64, copy=False)
    bad = ~np.isfinite(result)
    if bad.any():
        index = tuple(int(i) for i in np.argwhere(bad)[0])
        raise ValueError(
            f"'{name}' must be finite; got {result[index]} at index {index} ({int(bad.sum())} such entries in all). "
            "No measure is defined for it: find out where it comes from."
        )
    return result


def check_gamma(gamma: float, *, one_allowed: bool = False) -> float:
    """The discount γ in [0, 1), or in [0, 1] if the measure is also defined without discounting."""
    interval = "[0, 1]" if one_allowed else "[0, 1)"
    if not isinstance(gamma, Real):
        raise ValueError(f"The discount γ must be a number in {interval}; got {gamma!r}.")
    if 0 <= gamma < 1 or (one_allowed and gamma == 1):
        return float(gamma)
    hint = " At γ = 1 values may be infinite; use a discount such as 0.99." if gamma == 1 else ""
    raise ValueError(f"The discount γ must lie in {interval}; got {gamma}.{hint}")


def check_temperature(temperature: float) -> float:
    """The temperature α > 0, finite."""
    if not 0 < temperature < np.inf:
        raise ValueError(
            f"The temperature must be positive and finite; got {temperature}. For a greedy value use q.max(-1)."
        )
    return float(temperature)


def check_choice(value: str, options: Sequence[str], name: str) -> str:
    """One of `options`; for any other value the message suggests the nearest."""
    if value in options:
        return value
    hint = did_you_mean(value, options)
    raise ValueError(f"'{name}' must be one of {', '.join(repr(o) for o in options)}; got {value!r}.{hint}")


def check_transition(transition: ArrayLike) -> Floats:
    """P (S, A, S): P[s, a, s′] ≥ 0 and every row P[s, a] sums to 1 (within 1e-6)."""
    array = check_numbers(transition, "transition")
    if array.ndim != 3 or array.shape[0] != array.shape[2] or 0 in array.shape:
        raise ValueError(f"'transition' must have shape (S, A, S) with P[s, a, s′]; got {array.shape}.")
    return _check_rows(array, "transition", "P[s, a]")


def check_policy(policy: ArrayLike, shape: tuple[int, int]) -> Floats:
    """π (S, A): probabilities, every row sums to 1 (within 1e-6)."""
    return _check_rows(check_shape(policy, shape, "policy"), "policy", "π[s]")


def check_distribution(weights: ArrayLike, shape: tuple[int, ...], name: str) -> Floats:
    """A probability distribution over `shape`: non-negative, sums to 1 (within 1e-6)."""
    array = check_shape(weights, shape, name)
    _check_non_negative(array, name)
    total = float(array.sum())
    if abs(total - 1) > PROBABILITY_TOLERANCE:
        raise ValueError(f"'{name}' must sum to 1; it sums to {total:.9g}. Divide counts by their sum.")
    return array / total


def check_shape(values: ArrayLike, shape: tuple[int, ...], name: str) -> Floats:
    """Finite numbers of exactly this shape."""
    array = check_numbers(values, name)
    if array.shape != shape:
        raise ValueError(f"'{name}' must have shape {shape}; got {array.shape}.")
    return array


def check_reward(reward: ArrayLike, shape: tuple[int, int, int], name: str) -> Floats:
    """R as (S, A, S). One of shape (S, A) or (S,) does not depend on the missing axes and is broadcast (a view)."""
    array = check_numbers(reward, name)
    if array.ndim == 0 or array.shape != shape[: array.ndim]:
        raise ValueError(
            f"'{name}' must have shape {shape}, {shape[:2]} if it does not depend on s′, or {shape[:1]} if it "
            f"depends on s alone; got {array.shape}."
        )
    return np.broadcast_to(array.reshape(array.shape + (1,) * (3 - array.ndim)), shape)


def _check_non_negative(array: Floats, name: str) -> None:
    if array.min() < 0:
        index = tuple(int(i) for i in np.unravel_index(np.argmin(array), array.shape))
        raise ValueError(
            f"'{name}' must hold probabilities, which are not negative; got {array[index]} at index {index}."
        )


def _check_rows(array: Floats, name: str, row_name: str) -> Floats:
    _check_non_negative(array, name)
    sums = array.sum(axis=-1)
    error = np.abs(sums - 1)
    if error.max() > PROBABILITY_TOLERANCE:
        index = tuple(int(i) for i in np.unravel_index(np.argmax(error), sums.shape))
        raise ValueError(
            f"Every row {row_name} of '{name}' must sum to 1; the row at {index} sums to {sums[index]:.9g}. "
            "Divide counts by the sum of their row, or add the missing probability to the entry that it belongs to."
        )
    normalised: Floats = array / sums[..., None]
    return normalised
