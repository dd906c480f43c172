"""Heat maps painted over an image, each with the point where it is hottest."""

from __future__ import annotations

from PIL import Image, ImageDraw

from riveg.geometry.heat_maps import heat_array, hottest_point
from riveg.images.palette import INK
from riveg.types import HeatMap, ImageSize

_MOST_OPAQUE = 0.75


def paint_heat(canvas: Image.Image, heat: HeatMap, colour: str, dot: int) -> None:
    """Lays a colour over the image, the more opaque the hotter, and a dot on the hottest point.

    Args:
        canvas: RGB; it is changed.
        heat: The map, of all of the image.
        colour: Of the entity.
        dot: Radius of the dot, in pixels of the canvas.

    Raises:
        ValueError: If the values of the map are damaged.
    """
    values = Image.fromarray(heat_array(heat)).resize(canvas.size, Image.Resampling.BILINEAR)
    opacity = values.point([round(level * _MOST_OPAQUE) for level in range(256)])
    canvas.paste(colour, (0, 0), opacity)
    x, y = hottest_point(heat, ImageSize(*canvas.size))
    pen = ImageDraw.Draw(canvas)
    pen.ellipse((x - dot, y - dot, x + dot, y + dot), fill="white", outline=INK)
