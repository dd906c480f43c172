"""Takes texts and profiles out of PNG and JPEG files, so that their faults never cost the pixels.

Comments, colour profiles and animation frames play no part in what riveg sees. Pillow reads them
all the same, unpacks them, and gives an image up for one that is damaged or too large.
What shapes the upright image stays: transparency, and EXIF for the side that is up.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence

PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8"

_HEADER, _PALETTE, _PIXELS = b"IHDR", b"PLTE", b"IDAT"
_TRANSPARENCY = b"tRNS"
_EXIF = b"eXIf"
_GREY, _COLOUR, _INDEXED = 0, 2, 3
"""Kinds of colour that transparency goes with, by the number in the header."""
CHUNK_FRAME = 12
"""Bytes of a PNG chunk beside its content: length, kind and checksum."""

_APPLICATION_SEGMENTS = range(0xE0, 0xF0)
_KEPT_SEGMENTS = {0xE0: (b"JFIF\0", 14), 0xE1: (b"Exif\0\0", 6), 0xEE: (b"Adobe", 12)}
"""Segments that say how colours are stored or which side is up: how they begin, least length."""
_COMMENT = 0xFE
_SCAN, _END = 0xDA, 0xD9


def without_metadata(data: bytes) -> bytes:
    """The same image with no text, profile or thumbnail beside its pixels.

    Args:
        data: A PNG or JPEG file, whole or cut off. Other bytes come back as they are, and so does
            whatever follows a part whose length cannot be true, unless that part may be left out.
    """
    if data.startswith(PNG):
        return PNG + b"".join(_png_parts(data))
    if data.startswith(_JPEG):
        return _JPEG + b"".join(_jpeg_segments(data))
    return data


def _png_parts(data: bytes) -> Iterator[bytes]:
    """The chunks that shape the image, those of its pixels in a row, as Pillow wants them."""
    chunks, rest = png_chunks(data)
    kept = [chunk for chunk in chunks if _shapes_the_image(chunk, chunks)]
    pixels = [chunk for chunk in kept if chunk[4:8] == _PIXELS]
    yield from (chunk for chunk in kept if chunk[4:8] not in {_PIXELS, b"IEND"})
    yield from pixels
    yield from (chunk for chunk in kept if chunk[4:8] == b"IEND")
    if not _may_be_left_out(rest[4:8]):
        yield rest


def png_chunks(data: bytes) -> tuple[list[bytes], bytes]:
    """The whole chunks of a PNG, and what follows the last of them."""
    chunks: list[bytes] = []
    at = len(PNG)
    while at + CHUNK_FRAME <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        end = at + CHUNK_FRAME + length
        if end > len(data):
            break
        chunks.append(data[at:end])
        at = end
    return chunks, data[at:]


def _shapes_the_image(chunk: bytes, chunks: Sequence[bytes]) -> bool:
    kind = chunk[4:8]
    if kind == _EXIF:
        return zlib.crc32(chunk[4:-4]) == int.from_bytes(chunk[-4:], "big")
    if kind == _TRANSPARENCY:
        return _fits_the_colours(len(chunk) - CHUNK_FRAME, chunks)
    return not _may_be_left_out(kind)


def _may_be_left_out(kind: bytes) -> bool:
    """A small first letter says so to every reader."""
    return kind[:1].islower()


def _fits_the_colours(length: int, chunks: Sequence[bytes]) -> bool:
    """Whether transparency has the length that goes with the header and the palette."""
    sizes = {chunk[4:8]: len(chunk) - CHUNK_FRAME for chunk in chunks}
    header = next((chunk for chunk in chunks if chunk[4:8] == _HEADER), b"")
    colour = header[17] if len(header) > 17 else None
    if colour == _INDEXED:
        return 0 < length <= sizes.get(_PALETTE, 0) // 3
    return length == {_GREY: 2, _COLOUR: 6}.get(-1 if colour is None else colour)


def _jpeg_segments(data: bytes) -> Iterator[bytes]:
    at = len(_JPEG)
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # any number of these may stand before a marker
            at += 1
            continue
        (length,) = struct.unpack_from(">H", data, at + 2)
        end = at + 2 + length
        if marker in {_SCAN, _END} or length < 2 or end > len(data):
            break
        segment = data[at:end]
        if _belongs_to_the_pixels(marker, segment[4:]):
            yield segment
        at = end
    yield data[at:]


def _belongs_to_the_pixels(marker: int, content: bytes) -> bool:
    if marker in _KEPT_SEGMENTS:
        head, least = _KEPT_SEGMENTS[marker]
        return content.startswith(head) and len(content) >= least
    return marker not in _APPLICATION_SEGMENTS and marker != _COMMENT
