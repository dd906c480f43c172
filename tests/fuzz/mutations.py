"""Damage to files: of bytes, and of the values that they hold.

Each mutation is drawn from hypothesis, so that a failing one is shrunk to the least damage.
"""

from __future__ import annotations

import json
import re
import sqlite3
import struct
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol, TypeVar

import yaml
from hypothesis import strategies as st

Drawn = TypeVar("Drawn")


class Draw(Protocol):
    """As ``DataObject.draw``."""

    def __call__(self, strategy: st.SearchStrategy[Drawn], /) -> Drawn: ...


ESCAPES = "\x1b]0;owned\x07\x1b[2J\x9b31m"

STRANGE: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2, 99, 2**31, 2**63, -(2**64), 10**400, 0.5, -0.5, 1e308),
    *(1e-300, float("nan"), float("inf"), -float("inf")),
    *("", " ", "\n", "\0", "..", "../../x", "/etc/passwd", "/dev/zero", "a" * 300, "1e999", "nan"),
    *(ESCAPES, "\ud800", "\u202eabc\u2066", "e\u0301" * 40, "\U0001f469\u200d\U0001f680", "\ufeff"),
    *("{{ 7*7 }}", "</script><b>", "<|im_end|>", "=1+1", "%s%n", "x\ry", "x\u2028y", "\t"),
    *([], {}, [[]], [0, 0, 0, 0], {"a": 1}, [None], [""], ["x"] * 40),
)
"""Values to stand in the place of others."""

_BYTES: tuple[bytes, ...] = (
    *(b"\0", b"\n", b"\r", b"\xff", b"\xfe\xff", b"\xef\xbb\xbf", b"\x1b[31m", b"\x80" * 9),
    *(b"[" * 3000, b"{" * 3000, b'{"a":' * 3000, b'"', b",", b"<", b"&", b"9" * 400, b"-"),
    *(b"\xed\xa0\x80", b"\xe2\x80\xa8", b"nan", b"inf", b"1e999", b"\x7f\xff\xff\xff"),
    *(b"<!DOCTYPE a [<!ENTITY b 'c'>]>", b"\t", b" ", b"\n\n", b"\x1a"),
    # YAML
    *(b"&a [*a]", b"*a", b"&a", b"!!python/object/apply:os.system [w]", b"!!binary x", b"!!set"),
    *(b"2001-01-01", b"0x1F", b"1_000", b"yes", b"~", b": ", b"- ", b"{", b"}", b"<<: "),
    *(b"&a [x,x,x,x,x,x,x,x,x], b: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a], c: &c [*b,*b,*b,*b,*b,*b]",),
    # Jinja
    *(b"{{ 'a' * 10 ** 10 }}", b"{% for i in range(10 ** 9) %}x{% endfor %}", b"{{ self.user() }}"),
    *(b"{{ ''.__class__.__mro__ }}", b"{% include 'plain.jinja' %}", b"{% extends 'mine.jinja' %}"),
    *(b"{% block user %}", b"{% endblock %}", b"{{ lipsum() }}", b"{{ nothing.at.all }}", b"{{"),
    *(b"{% set text = text ~ text %}", b"{{ text | replace('', text) | upper }}", b"{#", b"%}"),
    *(b"{% macro m() %}{{ m() }}{{ m() }}{% endmacro %}{{ m() }}", b"{{ text.format(text) }}"),
)
"""Pieces to put in."""

_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?")

_NUMBERS = (b"0", b"-1", b"1e999", b"nan", b"9" * 20, b"9" * 400, b"0.0000001", b"1.5", b"", b"x")


def damaged_bytes(draw: Draw, content: bytes) -> bytes:
    """The content with one to three places damaged."""
    for _ in range(draw(st.integers(1, 3))):
        content = draw(st.sampled_from(_STEPS))(draw, content)
    return content


def _place(draw: Draw, content: bytes) -> int:
    # Headers and footers are short, and say how the rest is read.
    last = len(content)
    near = min(64, last)
    return draw(
        st.one_of(
            st.integers(0, last),
            st.integers(0, near),
            st.integers(0, near).map(lambda back: last - back),
        )
    )


def _flipped(draw: Draw, content: bytes) -> bytes:
    at = _place(draw, content)
    if at >= len(content):
        return content
    return content[:at] + bytes([content[at] ^ draw(st.integers(1, 255))]) + content[at + 1 :]


def _cut(draw: Draw, content: bytes) -> bytes:
    return content[: _place(draw, content)]


def _piece(draw: Draw, content: bytes) -> bytes:
    begin, end = sorted((_place(draw, content), _place(draw, content)))
    return content[begin:end]


def _removed(draw: Draw, content: bytes) -> bytes:
    begin, end = sorted((_place(draw, content), _place(draw, content)))
    return content[:begin] + content[end:]


def _spliced(draw: Draw, content: bytes) -> bytes:
    at = _place(draw, content)
    return content[:at] + _piece(draw, content) + content[at:]


def _put_in(draw: Draw, content: bytes) -> bytes:
    at = _place(draw, content)
    return content[:at] + draw(st.sampled_from(_BYTES)) + content[at:]


def _renumbered(draw: Draw, content: bytes) -> bytes:
    found = [*_NUMBER.finditer(content[:100_000])]
    if not found:
        return content
    match = draw(st.sampled_from(found))
    number = draw(st.sampled_from(_NUMBERS))
    return content[: match.start()] + number + content[match.end() :]


def _line_moved(draw: Draw, content: bytes) -> bytes:
    lines = content.splitlines(keepends=True)
    if len(lines) < 2:
        return content
    line = lines[draw(st.integers(0, len(lines) - 1))]
    if draw(st.booleans()):
        lines.remove(line)
    lines.insert(draw(st.integers(0, len(lines))), line)
    return b"".join(lines)


_STEPS = (_flipped, _cut, _removed, _spliced, _put_in, _renumbered, _line_moved)


def damaged_value(draw: Draw, value: Any) -> Any:
    """A document with one to three of its values changed."""
    for _ in range(draw(st.integers(1, 3))):
        places = list(_places(value))
        place = draw(st.sampled_from(places))
        if draw(st.booleans()):
            # Another value of its kind reads well, and says something else.
            kind = type(_at(value, place))
            alike = [one for each in places if type(one := _at(value, each)) is kind]
            new = draw(st.sampled_from(alike))
        else:
            new = draw(st.sampled_from(_CHANGES))(draw, _at(value, place))
        value = _put(value, place, new)
    return value


def _at(value: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        value = value[key]
    return value


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The places of all values; of long lists and objects, the first."""
    yield path
    items: Any = ()
    if isinstance(value, dict):
        items = [*value.items()][:40]
    elif isinstance(value, list):
        items = [*enumerate(value)][:6]
    for key, inner in items:
        yield from _places(inner, (*path, key))


def _put(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = _put(value[path[0]], path[1:], new)
    return copy


def _replaced(draw: Draw, value: Any) -> Any:
    return draw(st.sampled_from(STRANGE))


def _without(draw: Draw, value: Any) -> Any:
    if isinstance(value, dict) and value:
        gone = draw(st.sampled_from(list(value)))
        return {key: inner for key, inner in value.items() if key != gone}
    return value[:-1] if isinstance(value, list | str) else None


def _with_more(draw: Draw, value: Any) -> Any:
    extra = draw(st.sampled_from(STRANGE))
    if isinstance(value, dict):
        names = st.sampled_from([*value, "extra", "", ESCAPES, "__class__", "schema"])
        return {**value, draw(names): extra}
    return [*value, extra] if isinstance(value, list) else [value, extra]


def _twice(draw: Draw, value: Any) -> Any:
    return value * 2 if isinstance(value, list | str) else value


def _nested(draw: Draw, value: Any) -> Any:
    for _ in range(draw(st.sampled_from([1, 2, 70, 400]))):
        value = [value]
    return value


def _scaled(draw: Draw, value: Any) -> Any:
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300:
        return value * draw(st.sampled_from([-1, 0, 0.5, 2, 1e6, 1e18, 1e300]))
    return value


def _garbled(draw: Draw, value: Any) -> Any:
    if not isinstance(value, str):
        return str(value)
    at = draw(st.integers(0, len(value)))
    return (
        value[:at]
        + draw(st.sampled_from(["\n", ESCAPES, "\ud800", " ", "/", "é", "\0"]))
        + (value[at:])
    )


_CHANGES = (_replaced, _without, _with_more, _twice, _nested, _scaled, _garbled)


def damaged_json(draw: Draw, content: bytes) -> bytes:
    """A JSON document with changed values."""
    return _json(damaged_value(draw, json.loads(content)))


def damaged_lines(draw: Draw, content: bytes) -> bytes:
    """JSON lines, one of them with changed values."""
    lines = content.splitlines()
    at = draw(st.integers(0, len(lines) - 1))
    lines[at] = _json(damaged_value(draw, json.loads(lines[at])))
    return b"\n".join(lines) + b"\n"


def _json(value: Any) -> bytes:
    # Python writes numbers of any length only where it is asked to.
    return json.dumps(value).encode()


def damaged_yaml(draw: Draw, content: bytes) -> bytes:
    """A YAML document with changed values."""
    value = damaged_value(draw, yaml.safe_load(content))
    return yaml.safe_dump(value, allow_unicode=True, sort_keys=False).encode(errors="surrogatepass")


def damaged_safetensors(draw: Draw, content: bytes) -> bytes:
    """Weights whose header has changed values, behind its right or another length."""
    (length,) = struct.unpack("<Q", content[:8])
    header = damaged_json(draw, content[8 : 8 + length])
    told = draw(st.sampled_from([len(header), len(header), 0, 2**31, 2**63, length]))
    return struct.pack("<Q", told) + header + content[8 + length :]


def damaged_answers(draw: Draw, path: Path) -> None:
    """Changes a value of a row of ``answers.sqlite``, or the version of the file."""
    with closing(sqlite3.connect(path)) as connection, connection:
        rows = connection.execute("SELECT key FROM answers").fetchall()
        columns = [row[1] for row in connection.execute("PRAGMA table_info(answers)")]
        value = draw(st.sampled_from([one for one in STRANGE if _fits_sqlite(one)]))
        if draw(st.integers(0, 9)) == 0:
            connection.execute(f"PRAGMA user_version = {draw(st.sampled_from([0, 1, 2, 3, 99]))}")
        column = draw(st.sampled_from(columns))
        place = f"UPDATE OR IGNORE answers SET {column} = ?"
        changed = draw(st.sampled_from(rows))
        try:
            if draw(st.booleans()):  # without its digest nothing tells that the row was changed
                connection.execute("UPDATE answers SET digest = NULL")
            connection.execute(f"{place} WHERE key = ?", (value, *changed))
        except sqlite3.IntegrityError:
            return


def _fits_sqlite(value: Any) -> bool:
    if isinstance(value, str):
        return value.isascii()
    return value is None or (isinstance(value, int | float) and abs(value) < 2**62)


_BY_NAME: tuple[tuple[str, Callable[[Draw, bytes], bytes]], ...] = (
    (".jsonl", damaged_lines),
    (".json", damaged_json),
    (".yaml", damaged_yaml),
    (".safetensors", damaged_safetensors),
)
"""Mutations that know a format, by the ending of a file."""


def damage(draw: Draw, path: Path) -> None:
    """Damages a file in place: its values where its format is known, or its bytes."""
    if path.suffix == ".sqlite" and draw(st.booleans()):
        damaged_answers(draw, path)
        return
    content = path.read_bytes()
    knowing = next((how for ending, how in _BY_NAME if path.name.endswith(ending)), None)
    is_known = knowing is not None and content and draw(st.integers(0, 2))
    damaged = knowing(draw, content) if knowing and is_known else damaged_bytes(draw, content)
    path.unlink()  # it may be linked to the whole one
    path.write_bytes(damaged)
