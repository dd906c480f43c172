"""The errors riveg raises on purpose. Each message says what, where, and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Literal, get_args

ImageFaultKind = Literal[
    "missing-image",
    "outside-root",
    "not-an-image",
    "unsupported-format",
    "too-large",
    "too-small",
    "truncated-image",
]
"""Why an image cannot be used."""

IMAGE_FAULTS: frozenset[str] = frozenset(get_args(ImageFaultKind))
"""Kinds of Issues that mean: this sample's image cannot be used by any stage."""

NO_IMAGE = "no-picture"
"""Kind of an Issue about a sample without an image, and ``source`` of an answer for that reason."""


class RivegError(Exception):
    """Root of riveg's own errors."""


class UserError(RivegError):
    """Something the user can mend: a path, a configuration, a missing extra. Exit code 2."""


class ServerGone(RivegError):
    """A model's server cannot be reached or fails at everything; the same run can go on later."""


def suggest(word: str, known: Iterable[str]) -> str:
    """``did you mean X? `` where a known word is near, and the list of all.

    >>> suggest("grabct", ["grabcut", "sam"])
    'did you mean grabcut? Known: grabcut, sam'
    """
    names = sorted(known)
    near = difflib.get_close_matches(word, names, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    return f"{hint}Known: {', '.join(names) or 'none'}"


def install_command(extra: str) -> str:
    """The line that installs an extra."""
    return f'pip install "riveg[{extra}]"'


class MissingExtra(UserError):
    """A backend needs packages that an extra brings."""

    def __init__(self, what: str, package: str, extra: str) -> None:
        super().__init__(f"{what} needs the package {package}: {install_command(extra)}")


class MissingModel(UserError):
    """A model of the hub is not in its cache; ``riveg fetch`` gets it."""


class ImageFault(RivegError):
    """An image that cannot be used; becomes an Issue on its sample.

    Args:
        kind: Why.
        message: What is wrong with which image.
    """

    def __init__(self, kind: ImageFaultKind, message: str) -> None:
        super().__init__(message)
        self.kind = kind
