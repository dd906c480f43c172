"""Takes texts and profiles out of PNG and JPEG files, so that their faults never cost the pixels.

Comments, colour profiles and animation frames play no part in what riveg sees. Pillow reads them
all the same, unpacks them, and gives an image up for one that is damaged or too large.
What shapes the upright image stays: transparency, and EXIF for the side that is up.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8"

_TRANSPARENCY = b"tRNS"
_EXIF = b"eXIf"
_CHUNK_FRAME = 12
"""Bytes of a PNG chunk beside its content: length, kind and checksum."""

_APPLICATION_SEGMENTS = range(0xE0, 0xF0)
_JFIF, _EXIF_OR_XMP, _ADOBE, _COMMENT = 0xE0, 0xE1, 0xEE, 0xFE
_EXIF_HEAD = b"Exif\0\0"
_SCAN, _END = 0xDA, 0xD9


def without_metadata(data: bytes) -> bytes:
    """The same image with no text, profile or thumbnail beside its pixels.

    Args:
        data: A PNG or JPEG file, whole or cut off. Other bytes come back as they are, and so does
            whatever follows a part whose length cannot be true.
    """
    if data.startswith(_PNG):
        return _PNG + b"".join(_png_chunks(data))
    if data.startswith(_JPEG):
        return _JPEG + b"".join(_jpeg_segments(data))
    return data


def _png_chunks(data: bytes) -> Iterator[bytes]:
    at = len(_PNG)
    while at + _CHUNK_FRAME <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        end = at + _CHUNK_FRAME + length
        if end > len(data):
            break
        chunk = data[at:end]
        if _shapes_the_image(chunk):
            yield chunk
        at = end
    yield data[at:]


def _shapes_the_image(chunk: bytes) -> bool:
    kind = chunk[4:8]
    if kind == _EXIF:
        return zlib.crc32(chunk[4:-4]) == int.from_bytes(chunk[-4:], "big")
    # A small first letter marks what a reader may leave out.
    return kind == _TRANSPARENCY or not kind[:1].islower()


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
    if marker == _EXIF_OR_XMP:
        return content.startswith(_EXIF_HEAD)
    # JFIF and Adobe segments say how colours are stored.
    kept = marker in {_JFIF, _ADOBE}
    return kept or (marker not in _APPLICATION_SEGMENTS and marker != _COMMENT)
