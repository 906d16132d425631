"""Short names of the array types that every room uses; `plain` and `flags`, which make them of arrays from outside."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.generic]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]


def plain(values: ArrayLike, name: str) -> Array:
    """`values` as an array in this machine's byte order; a view of the same memory where that is possible.

    Raises ValueError for an array with masked entries: the numbers below a mask are not data.
    """
    if isinstance(values, np.ma.MaskedArray):
        masked = int(np.count_nonzero(np.ma.getmaskarray(values)))
        if masked:
            raise ValueError(
                f"'{name}' must have no masked entries; {masked} of {values.size} are masked, and what lies under a "
                "mask is not data. Leave those steps or episodes out, or fill them with .filled(value)."
            )
        values = values.data
    array = np.asarray(values)
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def flags(values: ArrayLike, name: str) -> Bools:
    """`values` as true or false. Raises ValueError where one is neither, nor 1 or 0, and for masked entries."""
    array = plain(values, name)
    if array.dtype != np.bool_ and not (array.dtype.kind in "iuf" and np.isin(array, (0, 1)).all()):
        raise ValueError(
            f"'{name}' must hold true or false (1 or 0); got dtype {array.dtype} with other values. "
            "Compare first, for example values > 0.5."
        )
    return array.astype(np.bool_, copy=False)


def indices(values: ArrayLike, count: int, name: str) -> Ints:
    """`values` as whole numbers from 0 to `count` − 1, as indices: NumPy would take −1 as the last.

    Raises ValueError where one is not.
    """
    array = plain(values, name)
    if array.dtype.kind not in "iuf":
        raise ValueError(f"'{name}' must be whole numbers; got dtype {array.dtype}.")
    numbers = array.astype(np.float64)
    inside = (numbers >= 0) & (numbers < count) & (numbers == np.floor(numbers))
    if not inside.all():
        raise ValueError(
            f"'{name}' must be whole numbers from 0 to {count - 1}; got {array[~inside].ravel()[0]}. Give those of the "
            "environment that they belong to, counted from 0."
        )
    return array.astype(np.int64, copy=False)
