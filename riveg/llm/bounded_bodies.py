"""Bodies of HTTP responses that are read up to a limit, compressed or not."""

from __future__ import annotations

import sys
import zlib
from collections.abc import AsyncIterator
from typing import Any

MOST_BYTES = 4 * 1024 * 1024
"""Of a body once it is decompressed; the longest answers are a hundredth of it."""

ACCEPTED = "gzip, deflate"
"""What a server may compress its bodies with: the standard library expands these to a limit."""

_WINDOW = {"gzip": 16 + zlib.MAX_WBITS, "x-gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}


class UnreadableBody(Exception):
    """Raised for a body that is too large, or is compressed in a way that nobody asked for."""


async def bound_body(response: Any) -> None:
    """Makes sure that a response's body is read up to the limit; an event hook of httpx clients.

    The body is decompressed here, and its text is UTF-8 whatever its header says: servers choose
    both, and the usual decoders have no limit.

    Args:
        response: Of httpx or httpx2, not read yet.
    """
    encoding = response.headers.pop("content-encoding", "identity").strip().lower()
    response.encoding = "utf-8"
    package = sys.modules[type(response).__module__.partition(".")[0]]
    response.stream = _bounded_stream(package)(response.stream, encoding)


def _bounded_stream(package: Any) -> type:
    """The class of a stream that its package's responses accept."""
    return type("BoundedStream", (_Bounded, package.AsyncByteStream), {})


class _Bounded:
    def __init__(self, stream: Any, encoding: str) -> None:
        self._stream = stream
        self._encoding = encoding

    async def __aiter__(self) -> AsyncIterator[bytes]:
        expand = _Expansion(self._encoding)
        # What comes counts as well: much of it may expand to nothing, or follow the end.
        left = left_to_come = MOST_BYTES
        async for chunk in self._stream:
            left_to_come -= len(chunk)
            expanded = expand(chunk, left)
            left -= len(expanded)
            if left < 0 or left_to_come < 0:
                raise UnreadableBody(f"a body of more than {MOST_BYTES >> 20} MiB")
            yield expanded

    async def aclose(self) -> None:
        await self._stream.aclose()


class _Expansion:
    """Expands a body chunk by chunk."""

    def __init__(self, encoding: str) -> None:
        if encoding not in {"", "identity", *_WINDOW}:
            raise UnreadableBody(f"a body in an encoding that was not asked for: {encoding:.20}")
        window = _WINDOW.get(encoding)
        self._inflater = None if window is None else zlib.decompressobj(window)
        self._may_be_raw = encoding == "deflate"

    def __call__(self, chunk: bytes, most: int) -> bytes:
        """What a chunk expands to, or so much of it that it is more than ``most``."""
        if self._inflater is None:
            return chunk
        try:
            expanded = self._inflater.decompress(chunk, most + 1)
        except zlib.error as error:
            if not self._may_be_raw:
                raise UnreadableBody(f"a body that cannot be expanded ({error})") from error
            # Many servers send the inner format of "deflate" alone.
            self._may_be_raw = False
            self._inflater = zlib.decompressobj(-zlib.MAX_WBITS)
            return self(chunk, most)
        self._may_be_raw = False
        return expanded
