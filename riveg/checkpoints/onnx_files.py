"""ONNX files that others have made: one file each, whose weights lie nowhere else.

An ONNX file may name other files that its weights are read from, by any path. riveg's own have
none, and a run's fingerprint knows the one file only, so a file that does is refused. Of the
format (protocol buffers, https://protobuf.dev/programming-guides/encoding) no more is read here
than where tensors are, because the ``onnx`` package is there for training alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from riveg.errors import UserError, reason
from riveg.files import read_regular

_TENSOR = "TensorProto"
_INNER: dict[str, dict[int, str]] = {
    "ModelProto": {7: "GraphProto", 20: "TrainingInfoProto", 25: "FunctionProto"},
    "TrainingInfoProto": {1: "GraphProto", 2: "GraphProto"},
    "FunctionProto": {7: "NodeProto", 11: "AttributeProto"},
    "GraphProto": {1: "NodeProto", 5: _TENSOR, 15: "SparseTensorProto"},
    "NodeProto": {5: "AttributeProto"},
    "AttributeProto": {
        **{5: _TENSOR, 6: "GraphProto", 10: _TENSOR, 11: "GraphProto"},
        **{22: "SparseTensorProto", 23: "SparseTensorProto"},
    },
    "SparseTensorProto": {1: _TENSOR, 2: _TENSOR},
}
"""Which fields of a message hold messages in which a tensor may be, by onnx.proto of ONNX 1.23."""

_EXTERNAL_DATA, _DATA_LOCATION = 13, 14
_KEY, _VALUE = 1, 2
_VARINT, _EIGHT_BYTES, _BYTES, _FOUR_BYTES = 0, 1, 2, 5


def read_onnx(path: Path) -> bytes:
    """The content of an ONNX file that holds all its weights.

    Raises:
        UserError: If it cannot be read, is no ONNX file, or takes weights from another file.
    """
    try:
        content = read_regular(path)
        elsewhere = next(_external(content), None)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: is no network ({reason(error)})") from error
    if elsewhere is not None:
        raise UserError(
            f"{path}: takes weights from another file ({elsewhere[:200]!r}); riveg loads networks "
            "that hold all their weights, write it as one file"
        )
    return content


class _Field(NamedTuple):
    """A field of a message; ``start`` and ``end`` are those of its value in the file."""

    number: int
    wire: int
    start: int
    end: int


def _external(content: bytes) -> Iterator[str]:
    """What tensors say of the files that they lie in."""
    waiting = [("ModelProto", 0, len(content))]
    while waiting:
        kind, start, end = waiting.pop()
        for field in _fields(content, start, end):
            inner = _INNER.get(kind, {}).get(field.number)
            if inner is not None and field.wire == _BYTES:
                waiting.append((inner, field.start, field.end))
            elif kind == _TENSOR and field.number == _EXTERNAL_DATA:
                yield _entry(content, field)
            elif kind == _TENSOR and field.number == _DATA_LOCATION and _is_set(content, field):
                yield "unnamed"


def _is_set(content: bytes, field: _Field) -> bool:
    """Whether a number is not 0, in however many bytes."""
    return content[field.start : field.end].strip(b"\x80\0") != b""


def _entry(content: bytes, entry: _Field) -> str:
    parts = {
        field.number: content[field.start : field.end].decode("utf-8", "replace")
        for field in _fields(content, entry.start, entry.end)
    }
    return f"{parts.get(_KEY, '')}: {parts.get(_VALUE, '')}"


def _fields(content: bytes, start: int, end: int) -> Iterator[_Field]:
    """The fields of the message between two places.

    Raises:
        ValueError: If there is none.
    """
    at = start
    while at < end:
        tag, at = _number(content, at, end)
        wire, first = tag & 7, at
        if wire == _VARINT:
            _, at = _number(content, at, end)
        elif wire == _BYTES:
            length, first = _number(content, at, end)
            at = first + length
        elif wire in {_EIGHT_BYTES, _FOUR_BYTES}:
            at += 8 if wire == _EIGHT_BYTES else 4
        else:
            raise ValueError(f"byte {at}: no field of an ONNX file")
        if at > end:
            raise ValueError(f"byte {first}: a field that is cut off")
        yield _Field(tag >> 3, wire, first, at)


def _number(content: bytes, at: int, end: int) -> tuple[int, int]:
    """A number of seven bits a byte, lowest first, and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= end:
            break
        byte = content[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError(f"byte {at}: a number that does not end")
