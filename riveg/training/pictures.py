"""Pictures of annotated posts: which can be used, and opening them while a training goes on."""

from __future__ import annotations

from collections.abc import Iterator

from riveg.errors import ImageFault, UserError
from riveg.geometry.arrays import Pixels
from riveg.protocols import ImageSource
from riveg.training.data import AnnotatedSplit
from riveg.types import ImageRef, Sample


class UsablePictures:
    """Opens the pictures of a split, and counts the posts without one that can be used.

    Args:
        source: The split.
    """

    def __init__(self, source: AnnotatedSplit) -> None:
        self._name = source.name
        self._images = source.images
        self._without = 0
        self._faults: list[str] = []

    def of(self, sample: Sample) -> ImageRef | None:
        """A post's picture with its size; ``None`` where it has none that can be used."""
        if sample.image is None:
            self._without += 1
            return None
        try:
            return self._images.probe(sample.image)
        except ImageFault as fault:
            self._faults.append(str(fault))
            return None

    def remarks(self, fate: str) -> Iterator[str]:
        """A line about posts without a picture, and one about pictures that cannot be used.

        Args:
            fate: What becomes of the posts, as the end of a sentence about them.
        """
        if self._without:
            yield f"{self._name}: {self._without} posts have no picture, and {fate}"
        if self._faults:
            yield (
                f"{self._name}: {len(self._faults)} pictures cannot be used, and their posts "
                f"{fate}; the first: {self._faults[0]}"
            )


def open_again(images: ImageSource, image: ImageRef) -> Pixels:
    """The pixels of a picture that could be opened when the rows were made.

    Raises:
        UserError: If it cannot be opened any more.
    """
    try:
        return images.load(image)
    except ImageFault as fault:
        raise UserError(f"{fault}: it could be opened when the training began") from fault
