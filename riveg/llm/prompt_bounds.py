"""Bounds on what a prompt makes while it is rendered.

A value has a highest size, counted as if it were written out: a list that holds a large one twice
is twice as large. So no single operation takes long, and between two of them the
:class:`Allowance` of the rendering is looked at: loop steps and calls, characters, time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from jinja2 import Undefined
from jinja2.exceptions import SecurityError

LONGEST = 1_000_000
"""Most characters of a rendered block, and of a value that a prompt makes."""

LARGEST = 10_000
"""Bound on numbers in a prompt, on products and powers, and on the length of a repeated text."""

_MOST_MADE = 10_000_000
"""Characters and items of all values that one rendering makes."""
_MOST_STEPS = 100_000
"""Passes of loops and calls of one rendering."""
_SECONDS = 5.0
"""Of a processor, for one rendering."""

_LARGEST_EXPONENT = 64
_MOST_INDENTED = 10_000
"""Characters and items of a value that is written as JSON over several lines."""
_MOST_DIGITS = 50
_LONGEST_NAME = 100
"""Characters of what names an attribute of items, ``entity.text``."""
_MOST_STRIPPED = 100_000
"""Characters of a text whose tags are taken out."""
_MOST_COMPARISONS = 100_000_000
"""Of the characters of two texts with each other, as in ``rfind`` or ``strip``."""


@dataclass(slots=True)
class Allowance:
    """What is left to one rendering."""

    steps: int = _MOST_STEPS
    made: int = _MOST_MADE
    ends: float = field(default_factory=lambda: time.thread_time() + _SECONDS)

    def spend(self, *, steps: int = 0, made: int = 0) -> None:
        """Takes a share of it.

        Raises:
            SecurityError: If there is not so much, or no time is left.
        """
        self.steps -= steps
        self.made -= made
        if self.steps < 0:
            raise SecurityError(f"more than {_MOST_STEPS} loop steps and calls")
        if self.made < 0:
            raise SecurityError(f"values of more than {_MOST_MADE} characters in all")
        if time.thread_time() > self.ends:
            raise SecurityError(f"it takes longer than {_SECONDS:g} seconds")


_allowance: ContextVar[Allowance | None] = ContextVar("_allowance", default=None)


@contextmanager
def allowance() -> Iterator[None]:
    """Everything within is one rendering."""
    token = _allowance.set(Allowance())
    try:
        yield
    finally:
        _allowance.reset(token)


def require_short_name(name: Any) -> None:
    """Checks what a filter takes for the name of an attribute, and looks up in every item.

    Raises:
        SecurityError: If it is no name but a long text.
    """
    if isinstance(name, str) and len(name) > _LONGEST_NAME:
        raise SecurityError(f"the name of an attribute has at most {_LONGEST_NAME} characters")


def counted(values: Iterable[Any]) -> Iterator[Any]:
    """The same values, a step each."""
    for value in values:
        spend(steps=1)
        yield value


def safe_arguments(
    text: str, method: str, args: tuple[Any, ...], named: Mapping[str, Any]
) -> tuple[Any, ...]:
    """The arguments of a method of a text, where it neither takes long nor makes a large one.

    Raises:
        SecurityError: If it would.
    """
    for one in (text, *args, *named.values()):
        require_small(one)
    if method == "replace":
        _first_of_replace(text, *args)
    elif method == "join" and len(args) == 1:
        return (_first_of_join(args[0], text),)
    else:
        for one in (*args, *named.values()):
            _require_few_comparisons(text, one)
    return args


def _first_of_replace(s: Any, old: Any, new: Any, count: Any = None) -> Any:
    text, old = str(s), str(old)
    times = text.count(old)
    if isinstance(count, int) and 0 <= count < times:
        times = count
    _require_length(len(text) + times * len(str(new)))
    return s


def _first_of_join(values: Any, d: Any = "", *_: Any, **_named: Any) -> list[Any]:
    pieces = list(values)
    _require_length(_size(pieces) + len(pieces) * len(str(d)))
    return pieces


def _first_of_indent(s: Any, width: Any = 4, *_: Any, **_named: Any) -> Any:
    before = width if isinstance(width, int) else len(str(width))
    _require_length(len(str(s)) + (str(s).count("\n") + 1) * before)
    return s


def _first_of_json(value: Any, indent: Any = None) -> Any:
    require_small_json(value, indent)
    return value


def _first_of_sum(values: Any, _attribute: Any = None, start: Any = 0, **_named: Any) -> Any:
    if not isinstance(start, int | float):
        raise SecurityError("only numbers are summed up")
    return values


def _first_of_round(value: Any, precision: Any = 0, *_: Any, **_named: Any) -> Any:
    if precision not in range(_MOST_DIGITS + 1):
        raise SecurityError(f"round keeps 0 to {_MOST_DIGITS} digits")
    return value


def _first_of_trim(value: Any, chars: Any = None) -> Any:
    _require_few_comparisons(str(value), chars)
    return value


def _first_of_striptags(value: Any) -> Any:
    if len(str(value)) > _MOST_STRIPPED:
        raise SecurityError(f"striptags takes at most {_MOST_STRIPPED} characters")
    return value


def _counted_first(value: Any, *_: Any, **_named: Any) -> Any:
    return counted(value) if value else value


FIRST_VALUES: Mapping[str, Callable[..., Any]] = {
    "replace": _first_of_replace,
    "join": _first_of_join,
    "indent": _first_of_indent,
    "tojson": _first_of_json,
    "sum": _first_of_sum,
    "round": _first_of_round,
    "trim": _first_of_trim,
    "striptags": _first_of_striptags,
    **dict.fromkeys(("map", "select", "reject", "selectattr", "rejectattr"), _counted_first),
}
"""By the names of filters that may write more than they are given, or take long: checks what one is
given, with the filter's own names for it, and gives its first value."""


def check_product(operator: str, left: Any, right: Any) -> None:
    """Refuses a large product or power before it is computed.

    Raises:
        SecurityError: If it would be large.
    """
    one, other = (len(each) if hasattr(each, "__len__") else abs(each) for each in (left, right))
    is_small = one <= LARGEST and other <= (_LARGEST_EXPONENT if operator == "**" else LARGEST)
    if not is_small or (one**other if operator == "**" else one * other) > LARGEST:
        raise SecurityError(f"{operator} makes more than {LARGEST}")


def bounded(value: Any) -> Any:
    """The value itself, whose size is taken from the allowance.

    Raises:
        SecurityError: If it is too large, or too much was made before.
    """
    spend(made=require_small(value))
    return value


def require_small(value: Any) -> int:
    """The size of a value.

    Raises:
        SecurityError: If it is too large.
    """
    return _require_length(_size(value))


def require_small_json(value: Any, indent: Any) -> None:
    """Checks a value that is written as JSON over several lines; ``None``: on one.

    Raises:
        SecurityError: If it is too large, or the lines begin with too many blanks.
    """
    if indent is not None and (indent not in range(9) or _size(value) > _MOST_INDENTED):
        raise SecurityError(f"indent is at most 8, of a value of at most {_MOST_INDENTED}")


def spend(*, steps: int = 0, made: int = 0) -> None:
    """Takes a share of the allowance, if this is a rendering.

    Raises:
        SecurityError: As :meth:`Allowance.spend`.
    """
    left = _allowance.get()
    if left is not None:
        left.spend(steps=steps, made=made)


def _require_length(length: int) -> int:
    if length > LONGEST:
        raise SecurityError(f"it makes more than {LONGEST} characters")
    return length


def _require_few_comparisons(text: str, other: Any) -> None:
    if isinstance(other, str) and len(text) * len(other) > _MOST_COMPARISONS:
        raise SecurityError("two long texts are compared")


def _size(value: Any) -> int:
    """Characters and items of a value as if it were written out; one too many ends the count."""
    if isinstance(value, str | bytes):
        return len(value)
    size, left = 0, [value]
    while left and size <= LONGEST:
        one = left.pop()
        size += 1
        if isinstance(one, str | bytes):
            size += len(one)
        elif isinstance(one, Undefined):
            continue
        elif isinstance(one, Mapping):
            left += [*one.keys(), *one.values()]
        elif isinstance(one, Collection):
            left += one
    return size
