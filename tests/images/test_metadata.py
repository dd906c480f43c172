"""Texts and profiles in an image file: whatever is wrong with them, the pixels are read."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from riveg.errors import ImageFault
from riveg.images.decoding import decode
from riveg.images.headers import ImageLimits
from riveg.images.metadata import without_metadata

LIMITS = ImageLimits()
ORIENTATION = 0x0112


def noise() -> Image.Image:
    values = np.random.default_rng(7).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    return Image.fromarray(values)


def stored(form: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    noise().save(buffer, form, **options)
    return buffer.getvalue()


def png_chunk(kind: bytes, content: bytes, *, checksum: int | None = None) -> bytes:
    found = zlib.crc32(kind + content) if checksum is None else checksum
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", found)


def png_with(chunk: bytes) -> bytes:
    """A PNG with a chunk more, straight before its pixels."""
    data = stored("PNG")
    at = data.index(b"IDAT") - 4
    return data[:at] + chunk + data[at:]


def jpeg_with(marker: int, content: bytes) -> bytes:
    """A JPEG with a segment more at its head."""
    data = stored("JPEG", quality=95)
    return data[:2] + struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content + data[2:]


def pixels_of(data: bytes) -> np.ndarray:
    return decode(io.BytesIO(data), "a", LIMITS)


BOMB = zlib.compress(b"\0" * 50_000_000, 9)

PNG_CHUNKS = {
    "text that unpacks to 50 MB": png_chunk(b"zTXt", b"Comment\0\0" + BOMB),
    "international text that unpacks to 50 MB": png_chunk(b"iTXt", b"C\0\1\0\0\0" + BOMB),
    "text of 70 MB": png_chunk(b"tEXt", b"Comment\0" + b"x" * 70_000_000),
    "text with a wrong checksum": png_chunk(b"tEXt", b"Comment\0hello", checksum=1),
    "text that does not unpack": png_chunk(b"zTXt", b"Comment\0\0" + b"\xff" * 20),
    "text of an unknown method": png_chunk(b"zTXt", b"Comment\0\7" + b"\xff" * 20),
    "profile that unpacks to 50 MB": png_chunk(b"iCCP", b"p\0\0" + BOMB),
    "profile with a wrong checksum": png_chunk(b"iCCP", b"p\0\0" + BOMB[:90], checksum=2),
    "profile of no method": png_chunk(b"iCCP", b"p"),
    "resolution that is too short": png_chunk(b"pHYs", b"\0\0"),
    "primaries that are too short": png_chunk(b"cHRM", b"\0\0\0"),
    "EXIF with a wrong checksum": png_chunk(b"eXIf", b"II*\0\x08\0\0\0", checksum=3),
    "EXIF that is none": png_chunk(b"eXIf", b"\xff" * 40),
    "a broken animation": png_chunk(b"acTL", b"\0"),
}


@pytest.mark.parametrize("chunk", PNG_CHUNKS.values(), ids=PNG_CHUNKS.keys())
def test_a_png_keeps_its_pixels(chunk: bytes) -> None:
    limits = ImageLimits(max_bytes=200_000_000)
    found = decode(io.BytesIO(png_with(chunk)), "a.png", limits)
    assert np.array_equal(found, np.asarray(noise()))


JPEG_SEGMENTS = {
    "profile that is cut off": (0xE2, b"ICC_PROFILE\0\1"),
    "profile of too many parts": (0xE2, b"ICC_PROFILE\0\1\xff" + b"x" * 60_000),
    "photo editor's block": (0xED, b"Photoshop 3.0\x008BIM\x04\x04\xff\xff\xff\xff\xff"),
    "pictures in pictures": (0xE2, b"MPF\0" + b"\xff" * 30),
    "comment": (0xFE, b"\xff" * 65_000),
    "XMP": (0xE1, b"http://ns.adobe.com/xap/1.0/\0" + b"<broken" * 100),
    "EXIF that is none": (0xE1, b"Exif\0\0" + b"\xff" * 40),
    "EXIF of nothing": (0xE1, b"Exif\0\0"),
}


@pytest.mark.parametrize(("marker", "content"), JPEG_SEGMENTS.values(), ids=JPEG_SEGMENTS.keys())
def test_a_jpeg_keeps_its_pixels(marker: int, content: bytes) -> None:
    plain = np.asarray(Image.open(io.BytesIO(stored("JPEG", quality=95))))
    assert np.array_equal(pixels_of(jpeg_with(marker, content)), plain)


@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_the_side_that_is_up_is_still_known(form: str) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    profile = b"x" * 150_000
    data = without_metadata(stored(form, exif=exif, icc_profile=profile))
    assert len(data) < 10_000
    assert pixels_of(data).shape == (30, 20, 3)


def test_colours_of_a_jpeg_for_print_stay() -> None:
    buffer = io.BytesIO()
    noise().convert("CMYK").save(buffer, "JPEG", quality=95)
    plain = np.asarray(Image.open(io.BytesIO(buffer.getvalue())).convert("RGB"))
    assert np.array_equal(pixels_of(buffer.getvalue()), plain)


def test_pixels_that_are_cut_off_are_a_fault() -> None:
    text = png_chunk(b"zTXt", b"Comment\0\0" + BOMB)
    for data in (png_with(text), jpeg_with(0xFE, b"hello")):
        with pytest.raises(ImageFault, match="truncated or damaged"):
            pixels_of(data[: len(data) - len(stored("JPEG")) // 2])


@given(
    st.sampled_from([b"\x89PNG\r\n\x1a\n", b"\xff\xd8", b"GIF89a", b""]), st.binary(max_size=200)
)
def test_any_bytes_are_gone_through_once(head: bytes, tail: bytes) -> None:
    found = without_metadata(head + tail)
    assert len(found) <= len(head + tail)
    assert without_metadata(found) == found


@given(
    st.lists(st.tuples(st.sampled_from([b"tEXt", b"zTXt", b"iCCP", b"prVt"]), st.binary())),
    st.integers(0, 2**32 - 1),
)
def test_no_chunk_costs_a_pixel(chunks: list[tuple[bytes, bytes]], checksum: int) -> None:
    more = b"".join(png_chunk(kind, content, checksum=checksum) for kind, content in chunks)
    assert without_metadata(png_with(more)) == without_metadata(stored("PNG"))


@given(st.lists(st.tuples(st.sampled_from([0xE2, 0xE5, 0xED, 0xFE]), st.binary(max_size=99))))
def test_no_segment_costs_a_pixel(segments: list[tuple[int, bytes]]) -> None:
    plain = stored("JPEG", quality=95)
    more = b"".join(
        struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content
        for marker, content in segments
    )
    assert without_metadata(plain[:2] + more + plain[2:]) == without_metadata(plain)


def test_a_file_below_a_folder(tmp_path: Path) -> None:
    from riveg.images.loader import ImageLoader
    from riveg.types import ImageRef

    (tmp_path / "a.png").write_bytes(png_with(PNG_CHUNKS["text that unpacks to 50 MB"]))
    assert ImageLoader([tmp_path]).load(ImageRef("a.png")).shape == (20, 30, 3)
