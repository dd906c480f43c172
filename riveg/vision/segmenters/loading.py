"""Segmenters that points can prompt, by name, and the model that each loads by default."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

from riveg.vision.runtime.image_worker import PreparedImage
from riveg.vision.runtime.options import TorchOptions

if TYPE_CHECKING:
    from riveg.geometry.arrays import Bitmap, Pixels
    from riveg.geometry.heat_maps import Point

PointNetworkName = Literal["sam", "sam2"]


class SegmenterDefaults(NamedTuple):
    """A segmenter's default model and its licence."""

    model: str
    licence: str


DEFAULTS: Mapping[str, SegmenterDefaults] = {
    "sam": SegmenterDefaults("facebook/sam-vit-huge", "apache-2.0"),
    "sam2": SegmenterDefaults("facebook/sam2.1-hiera-large", "apache-2.0"),
}
"""By segmenter, for what a configuration does not say."""


class PointNetwork(Protocol):
    """Encodes images, which is costly, and then decodes masks of points, which is cheap."""

    @property
    def prepare(self) -> Callable[[Pixels], Any]:
        """Makes the network's input of an upright image; ``pickle`` can send it to a worker."""

    def encode_images(self, images: Sequence[PreparedImage[Any]]) -> Sequence[Any]:
        """What the network keeps of each image, in order."""

    def decode_best_masks(self, image: Any, points: Sequence[Point]) -> Iterable[Bitmap]:
        """The best mask of each point, in order; one without any pixel where nothing was found.

        *Shape:* each mask ``(height, width)`` of the upright image.

        Args:
            image: One of the values of :meth:`encode_images`.
            points: In pixels of the upright image.
        """


def point_network_loader(name: PointNetworkName) -> Callable[[Path, TorchOptions], PointNetwork]:
    """What loads the network of a folder; it raises ``UserError`` where there is no such model."""
    if name == "sam":
        from riveg.vision.segmenters.sam import load_sam

        return load_sam
    from riveg.vision.segmenters.sam2 import load_sam2

    return load_sam2
