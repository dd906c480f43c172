import base64
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from helpers.factories import NoImages
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from riveg.errors import ImageFault
from riveg.llm.conversation import AttachedImage, Message, Request
from riveg.llm.images import ImageEncoder, by_image, encoded, sent_size
from riveg.types import Box, ImageRef, ImageSize


class Halves:
    """An image of 200 x 100 pixels, red on the left and blue on the right; counts its loads."""

    def __init__(self) -> None:
        self.loads = 0
        self.state = "1"

    def load(self, image: ImageRef) -> Any:
        self.loads += 1
        pixels = np.zeros((100, 200, 3), np.uint8)
        pixels[:, :100, 0] = pixels[:, 100:, 2] = 250
        return pixels

    def probe(self, image: ImageRef) -> ImageRef:
        return ImageRef(image.path, 200, 100)

    def stamp(self, image: ImageRef) -> str:
        return self.state


def shown(url: str) -> Image.Image:
    head, _, content = url.partition(",")
    assert head == "data:image/jpeg;base64"
    return Image.open(io.BytesIO(base64.b64decode(content)))


@given(st.integers(1, 20_000), st.integers(1, 20_000), st.integers(28, 4096))
def test_the_sent_size_keeps_to_the_budget(width: int, height: int, side: int) -> None:
    sent_width, sent_height = sent_size(ImageSize(width, height), side)
    assert 1 <= sent_width <= min(width, side)
    assert 1 <= sent_height <= min(height, side)
    if max(width, height) <= side:
        assert (sent_width, sent_height) == (width, height)
    else:
        assert max(sent_width, sent_height) == side


@pytest.mark.parametrize(
    ("crop", "side", "size", "colour"),
    [
        (None, 1024, (200, 100), None),
        (None, 50, (50, 25), None),
        (Box(0, 0, 99.5, 50), 1024, (100, 50), 0),
        (Box(110.2, 10, 180, 60), 1024, (70, 50), 2),
        (Box(150, -20, 500, 300), 1024, (50, 100), 2),
    ],
)
def test_an_image_as_sent(
    crop: Box | None, side: int, size: tuple[int, int], colour: int | None
) -> None:
    pixels = AttachedImage(ImageRef("a.jpg"), crop)
    made = encoded(pixels, Halves(), side)
    image = shown(made.data_url)
    assert image.size == made.size == size
    assert ImageEncoder(Halves(), side).size(pixels) == size
    if colour is not None:
        middle = image.getpixel((size[0] // 2, size[1] // 2))
        assert isinstance(middle, tuple)
        assert middle[colour] > 200 > 60 > middle[2 - colour]


def test_the_digest_is_of_what_is_sent() -> None:
    def digest(side: int, crop: Box | None = None) -> str:
        return encoded(AttachedImage(ImageRef("a.jpg"), crop), Halves(), side).digest

    assert digest(1024) == digest(512)
    assert len({digest(1024), digest(100), digest(1024, Box(0, 0, 50, 50))}) == 3


def test_a_crop_outside_and_an_image_that_is_not_there() -> None:
    with pytest.raises(ValueError, match="outside the picture of 200 x 100"):
        encoded(AttachedImage(ImageRef("a.jpg"), Box(300, 0, 400, 50)), Halves(), 100)
    with pytest.raises(ImageFault):
        encoded(AttachedImage(ImageRef("a.jpg")), NoImages(), 100)


def test_a_crop_is_another_image() -> None:
    whole, crop = (AttachedImage(ImageRef("a.jpg"), box) for box in (None, Box(0, 0, 1, 1)))
    sent = ImageEncoder(Halves(), 100).encode((whole, crop))
    assert sent[whole].digest != sent[crop].digest
    assert sent[crop].size == (1, 1)


def test_images_are_kept_for_the_next_request_until_they_change_or_room_is_short() -> None:
    images = Halves()
    encoder = ImageEncoder(images, 100)
    image = AttachedImage(ImageRef("a.jpg"))
    assert encoder.encode((image,)) == encoder.encode((image, image))
    assert images.loads == 1
    images.state = "2"
    encoder.encode((image,))
    assert images.loads == 2
    narrow = ImageEncoder(images, 100, kept_bytes=10)
    narrow.encode((image,))
    narrow.encode((image,))
    assert images.loads == 4


def test_requests_about_one_image_come_next_to_each_other() -> None:
    crop = Box(0, 0, 5, 5)
    asked = [("a", None), ("b", None), (None, None), ("a", crop), ("c", None), ("b", crop)]
    requests = [
        Request((Message("user", str(at), images_of(path, part)),), lambda response: response)
        for at, (path, part) in enumerate(asked)
    ]
    sent: list[str] = []

    def ask(ordered: Sequence[Request]) -> list[str]:
        sent.extend(request.messages[0].text for request in ordered)
        return [f"answer to {request.messages[0].text}" for request in ordered]

    assert by_image(requests, ask) == [f"answer to {at}" for at in range(len(asked))]
    assert sent == ["0", "3", "1", "5", "2", "4"]


def images_of(path: str | None, crop: Box | None) -> tuple[AttachedImage, ...]:
    return () if path is None else (AttachedImage(ImageRef(path), crop),)
