"""Heat maps between arrays and records, and the point where one is hottest."""

from __future__ import annotations

import base64
import binascii
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from riveg.types import HeatMap, ImageSize

_HOTTEST = 255


class Point(NamedTuple):
    """A place in absolute pixels of the upright image, whose first corner is (0, 0)."""

    x: float
    y: float


def heat_from_array(values: NDArray[np.floating[Any]]) -> HeatMap | None:
    """An array as a heat map, scaled so that its maximum is 255; ``None`` where nothing is above 0.

    Rounding to bytes makes the map the same whatever else was in a network's batch.

    >>> heat_from_array(np.zeros((2, 2))) is None
    True

    Args:
        values: Finite, at least 0. *Shape:* ``(rows, columns)``.
    """
    most = float(values.max())
    if not most > 0:
        return None
    scaled = np.rint(values.astype(np.float64) * (_HOTTEST / most)).astype(np.uint8)
    rows, columns = values.shape
    return HeatMap(rows, columns, base64.b64encode(scaled.tobytes()).decode("ascii"))


def heat_array(heat: HeatMap) -> NDArray[np.uint8]:
    """The values of a heat map. *Shape:* ``(rows, columns)``.

    Raises:
        ValueError: If they are damaged.
    """
    try:
        content = base64.b64decode(heat.values, validate=True)
    except binascii.Error as error:
        raise ValueError(f"a heat map of damaged values: {error}") from error
    if len(content) != heat.rows * heat.columns:
        raise ValueError(f"a heat map of {len(content)} values for {heat!r}")
    return np.frombuffer(content, np.uint8).reshape(heat.rows, heat.columns)


def hottest_point(heat: HeatMap, size: ImageSize) -> Point:
    """Where the map is hottest once it is resized to the image: in the middle of its best patch.

    Resized bilinearly, a map is nowhere above its best patch, and reaches it in the middle; at the
    image's rim it stays that high to the edge, and the middle is taken. Of several patches that are
    best, it is the first in reading order.

    >>> from riveg.types import HeatMap
    >>> hottest_point(HeatMap(1, 3, "AP8A"), ImageSize(60, 10))
    Point(x=30.0, y=5.0)

    Args:
        heat: The map.
        size: Of the upright image.

    Raises:
        ValueError: If the values are damaged.
    """
    row, column = divmod(int(heat_array(heat).argmax()), heat.columns)
    return Point((column + 0.5) * size.width / heat.columns, (row + 0.5) * size.height / heat.rows)
