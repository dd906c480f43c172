"""The two kinds of arrays that stages give to one another."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
"""A decoded upright image: RGB, *shape* ``(height, width, 3)``, values in [0, 255]."""

Bitmap = NDArray[np.bool_]
"""Which pixels of an image belong to something: *shape* ``(height, width)``."""

Floats = NDArray[np.float64]
"""Numbers in double precision; the function that takes them says their *shape*."""
