"""Short names of the array types that every room uses, and `plain`, which makes arrays from outside one of them."""

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
