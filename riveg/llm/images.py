"""Images as a request holds them: cropped, and made no larger than the endpoint allows."""

from __future__ import annotations

import base64
import hashlib
import io
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from riveg.errors import ImageFault
from riveg.geometry.boxes import touched_edges
from riveg.llm.conversation import AttachedImage, NoAnswer, Request
from riveg.types import ImageSize

if TYPE_CHECKING:
    from riveg.protocols import ImageSource

Answer = TypeVar("Answer")

_QUALITY = 92


@dataclass(frozen=True, slots=True)
class SentImage:
    """A JPEG as a ``data:`` URL; ``digest`` is of its bytes."""

    data_url: str
    digest: str
    size: ImageSize


SentImages = Mapping[AttachedImage, SentImage]


def sent_size(size: ImageSize, side: int) -> ImageSize:
    """The size as sent: the longer side at most ``side``, in proportion, never enlarged."""
    scale = min(1.0, side / max(size))
    return ImageSize(max(1, round(size.width * scale)), max(1, round(size.height * scale)))


def image_failure(fault: ImageFault | ValueError) -> NoAnswer:
    """Why a request whose image cannot be used has no answer."""
    kind = fault.kind if isinstance(fault, ImageFault) else "bad-picture"
    return NoAnswer(kind, str(fault))


def by_image(
    requests: Sequence[Request], ask: Callable[[Sequence[Request]], Sequence[Answer]]
) -> list[Answer]:
    """Answers in the order of the requests, which are sent in another one.

    Requests about the same images come next to each other, where the first of them stood: what a
    server keeps of an image is still there for the next.

    Args:
        requests: In any order.
        ask: Gives an answer to each request, in order.
    """
    first: dict[tuple[str, ...], int] = {}

    def place(at: int) -> int:
        paths = tuple(one.image.path for one in requests[at].images)
        return first.setdefault(paths, at) if paths else at

    order = sorted(range(len(requests)), key=place)
    answers = dict(zip(order, ask([requests[at] for at in order]), strict=True))
    return [answers[at] for at in range(len(requests))]


def _crop_edges(attached: AttachedImage, size: ImageSize) -> tuple[int, int, int, int]:
    crop = attached.crop
    if crop is None:
        return 0, 0, *size
    edges = touched_edges(crop, size)
    if edges is None:
        raise ValueError(
            f"the crop {crop} is outside the picture of {size.width} x {size.height} pixels"
        )
    return edges


def encoded(attached: AttachedImage, images: ImageSource, side: int) -> SentImage:
    """The image, or its crop, ready to be sent.

    Raises:
        ImageFault: If it cannot be used.
        ValueError: If the crop is outside the image.
    """
    from PIL import Image

    pixels = images.load(attached.image)
    size = ImageSize(pixels.shape[1], pixels.shape[0])
    left, top, right, bottom = _crop_edges(attached, size)
    image = Image.fromarray(pixels[top:bottom, left:right])
    sent = sent_size(ImageSize(*image.size), side)
    if sent != image.size:
        image = image.resize(sent, Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=_QUALITY)
    content = buffer.getvalue()
    digest = hashlib.blake2b(content).hexdigest()[:32]
    url = "data:image/jpeg;base64," + base64.b64encode(content).decode("ascii")
    return SentImage(url, digest, sent)


class ImageEncoder:
    """Encodes images and keeps the latest for the next request; threads may share it.

    Args:
        images: Where the images come from.
        side: Most pixels of the longer side as sent.
        kept_bytes: Most bytes of encoded images in memory.
    """

    def __init__(
        self, images: ImageSource, side: int, *, kept_bytes: int = 64 * 1024 * 1024
    ) -> None:
        self._images = images
        self._side = side
        self._room = kept_bytes
        self._kept: OrderedDict[tuple[AttachedImage, str], SentImage] = OrderedDict()
        self._lock = threading.Lock()

    def encode(self, images: tuple[AttachedImage, ...]) -> dict[AttachedImage, SentImage]:
        """Each image as sent.

        Raises:
            ImageFault: If one cannot be used.
            ValueError: If a crop is outside its image.
        """
        return {image: self._encoded(image) for image in images}

    def size(self, attached: AttachedImage) -> ImageSize:
        """The size as sent.

        Raises:
            ImageFault: If the image cannot be used.
            ValueError: If the crop is outside the image.
        """
        image = attached.image
        if image.width is None or image.height is None:
            image = self._images.probe(image)
        if image.width is None or image.height is None:
            raise ImageFault("not-an-image", f"{image.path}: its size is not known")
        whole = ImageSize(image.width, image.height)
        left, top, right, bottom = _crop_edges(attached, whole)
        return sent_size(ImageSize(right - left, bottom - top), self._side)

    def _encoded(self, attached: AttachedImage) -> SentImage:
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
