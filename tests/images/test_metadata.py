"""Texts and profiles in an image file: whatever is wrong with them, the pixels are read."""

from __future__ import annotations

import io
import struct
import zlib
from itertools import pairwise
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
    "a short JFIF": (0xE0, b"JFIF\0\1\1"),
    "a short Adobe": (0xEE, b"Adobe"),
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


def png_of(*parts: bytes, start: bytes | None = None) -> bytes:
    """A PNG of these chunks behind the head of another."""
    whole = stored("PNG")
    head = whole[: whole.index(b"IDAT") - 4] if start is None else start
    return b"".join([head, *parts, png_chunk(b"IEND", b"")])


def whole_stream() -> bytes:
    """The packed rows of the PNG that the others are made of."""
    whole = stored("PNG")
    at = whole.index(b"IDAT")
    (length,) = struct.unpack_from(">I", whole, at - 4)
    return whole[at + 4 : at + 4 + length]


@pytest.mark.parametrize("rows", [0, 1, 10, 19])
def test_a_png_whose_stream_ends_early_is_a_fault(rows: int) -> None:
    few = zlib.compress(zlib.decompress(whole_stream())[: rows * (1 + 30 * 3)])
    with pytest.raises(ImageFault) as caught:
        pixels_of(png_of(png_chunk(b"IDAT", few)))
    assert caught.value.kind == "truncated-image"


@given(st.lists(st.integers(1, 1500), max_size=5), st.binary(max_size=20))
def test_pixels_in_many_parts_are_whole(cuts: list[int], between: bytes) -> None:
    stream = whole_stream()
    edges = sorted({0, len(stream), *(cut % len(stream) for cut in cuts)})
    parts = [stream[start:end] for start, end in pairwise(edges)]
    gap = png_chunk(b"tEXt", between)
    found = pixels_of(png_of(*(png_chunk(b"IDAT", part) + gap for part in parts)))
    assert np.array_equal(found, np.asarray(noise()))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
@pytest.mark.parametrize("size", [(1, 1), (3, 5), (30, 20), (9, 130)])
def test_every_kind_of_png_has_all_its_rows(mode: str, size: tuple[int, int]) -> None:
    buffer = io.BytesIO()
    Image.new(mode, size).save(buffer, "PNG")  # one colour: the longest repetitions
    limits = ImageLimits(min_side=1)
    assert decode(io.BytesIO(buffer.getvalue()), "a", limits).shape == (size[1], size[0], 3)


def test_an_interlaced_png_has_all_its_rows() -> None:
    """Adam7, of the smallest image that has all seven passes, and of one that lacks the last."""
    header = struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 1)
    start = b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header)
    sizes = ((1, 1), (1, 1), (2, 1), (2, 2), (4, 2), (4, 4), (8, 4))
    passes = [b"".join(b"\0" + b"\x80" * columns for _ in range(rows)) for columns, rows in sizes]
    whole, cut = (zlib.compress(b"".join(parts)) for parts in (passes, passes[:-1]))
    assert (pixels_of(png_of(png_chunk(b"IDAT", whole), start=start)) == 128).all()
    with pytest.raises(ImageFault, match="truncated"):
        pixels_of(png_of(png_chunk(b"IDAT", cut), start=start))


@pytest.mark.parametrize("content", [b"\0\0\0", b"\0" * 900, b""])
def test_transparency_of_another_kind_is_left_out(content: bytes) -> None:
    found = pixels_of(png_with(png_chunk(b"tRNS", content)))
    assert np.array_equal(found, np.asarray(noise()))


def test_a_png_that_is_cut_within_a_text_behind_its_pixels_is_whole() -> None:
    whole = stored("PNG")
    cut = whole[: whole.index(b"IEND") - 4] + png_chunk(b"tEXt", b"Comment\0hello")[:-9]
    assert np.array_equal(pixels_of(cut), np.asarray(noise()))


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
