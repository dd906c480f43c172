"""The errors riveg raises on purpose. Each message says what, where, and what to do."""

from __future__ import annotations


class RivegError(Exception):
    """Root of riveg's own errors."""


class UserError(RivegError):
    """Something the user can mend: a path, a configuration, a missing extra. Exit code 2."""


class MissingExtra(UserError):
    """A backend needs packages that an extra brings."""

    def __init__(self, what: str, package: str, extra: str) -> None:
        super().__init__(f'{what} needs the package {package}: pip install "riveg[{extra}]"')


class ImageFault(RivegError):
    """A picture that cannot be used; becomes an Issue on its sample.

    Args:
        kind: One of the loader's kinds, for example ``missing-image`` or ``truncated-image``.
        message: What is wrong with which picture.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


PICTURE_FAULTS = frozenset(
    {
        "missing-image",
        "outside-root",
        "not-an-image",
        "unsupported-format",
        "too-large",
        "too-small",
        "truncated-image",
    }
)
"""Every ``kind`` of an :class:`ImageFault`."""
