"""Images as a model gets them: cut out, made no larger than the budget, within the request."""

from __future__ import annotations

import base64
import hashlib
import io
import math
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from riveg.errors import ImageFault
from riveg.llm.conversation import AttachedImage

if TYPE_CHECKING:
    from riveg.protocols import ImageSource
    from riveg.types import Box

_QUALITY = 92


@dataclass(frozen=True, slots=True)
class EncodedImage:
    """A JPEG as a ``data:`` URL; ``digest`` is of its bytes, the sides are in pixels."""

    data_url: str
    digest: str
    width: int
    height: int


EncodedImages = Mapping[AttachedImage, EncodedImage]


def sent_size(width: int, height: int, side: int) -> tuple[int, int]:
    """Width and height as sent: the longer at most ``side``, in proportion, never enlarged."""
    scale = min(1.0, side / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def crop_edges(crop: Box | None, width: int, height: int) -> tuple[int, int, int, int]:
    """The whole pixels that a crop touches, xyxy with exclusive ends, within the image.

    Raises:
        ValueError: If it touches none.
    """
    if crop is None:
        return 0, 0, width, height
    left, top = max(0, math.floor(crop.x_min)), max(0, math.floor(crop.y_min))
    right, bottom = min(width, math.ceil(crop.x_max)), min(height, math.ceil(crop.y_max))
    if left >= right or top >= bottom:
        raise ValueError(f"the crop {crop} is outside the picture of {width} x {height} pixels")
    return left, top, right, bottom


def encoded(attached: AttachedImage, images: ImageSource, side: int) -> EncodedImage:
    """The image, or its crop, ready to be sent.

    Raises:
        ImageFault: If it cannot be used.
        ValueError: If the crop is outside the image.
    """
    from PIL import Image

    pixels = images.load(attached.image)
    left, top, right, bottom = crop_edges(attached.crop, pixels.shape[1], pixels.shape[0])
    image = Image.fromarray(pixels[top:bottom, left:right])
    width, height = sent_size(image.width, image.height, side)
    if (width, height) != image.size:
        image = image.resize((width, height), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=_QUALITY)
    content = buffer.getvalue()
    digest = hashlib.blake2b(content).hexdigest()[:32]
    url = "data:image/jpeg;base64," + base64.b64encode(content).decode("ascii")
    return EncodedImage(url, digest, width, height)


class ImageEncoder:
    """Encodes images and keeps the latest for the next question; may be shared by threads.

    Args:
        images: Where they come from.
        side: Their longer side as sent, in pixels.
        kept_bytes: Of encoded images in memory.
    """

    def __init__(
        self, images: ImageSource, side: int, *, kept_bytes: int = 64 * 1024 * 1024
    ) -> None:
        self._images = images
        self._side = side
        self._room = kept_bytes
        self._kept: OrderedDict[tuple[AttachedImage, str], EncodedImage] = OrderedDict()
        self._lock = threading.Lock()

    def encode(self, images: tuple[AttachedImage, ...]) -> dict[AttachedImage, EncodedImage]:
        """Each image as sent.

        Raises:
            ImageFault: If one cannot be used.
            ValueError: If a crop is outside its image.
        """
        return {image: self._one(image) for image in images}

    def size(self, attached: AttachedImage) -> tuple[int, int]:
        """Width and height as sent, in pixels.

        Raises:
            ImageFault: If the image cannot be used.
            ValueError: If the crop is outside the image.
        """
        image = attached.image
        if image.width is None or image.height is None:
            image = self._images.probe(image)
        if image.width is None or image.height is None:
            raise ImageFault("not-an-image", f"{image.path}: its size is not known")
        left, top, right, bottom = crop_edges(attached.crop, image.width, image.height)
        return sent_size(right - left, bottom - top, self._side)

    def _one(self, attached: AttachedImage) -> EncodedImage:
        key = (attached, self._images.stamp(attached.image))
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        made = encoded(attached, self._images, self._side)
        with self._lock:
            if key not in self._kept:
                self._kept[key] = made
                self._room -= len(made.data_url)
            while self._room < 0 and self._kept:
                _, dropped = self._kept.popitem(last=False)
                self._room += len(dropped.data_url)
        return made
