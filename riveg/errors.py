"""The errors riveg raises on purpose. Each message says what, where, and what to do."""

from __future__ import annotations

import difflib
import shlex
import shutil
import sys
from collections.abc import Iterable
from importlib.util import find_spec
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


def reason(error: Exception) -> str:
    r"""What another library says of a fault, on one line of bounded length.

    >>> reason(ValueError("not this\nbut that")), reason(MemoryError())
    ('not this but that', 'MemoryError')
    """
    return " ".join(str(error).split())[:300] or type(error).__name__


def suggest(word: str, known: Iterable[str]) -> str:
    """``did you mean X? `` where a known word is near, and the list of all.

    >>> suggest("grabct", ["grabcut", "sam"])
    'did you mean grabcut? Known: grabcut, sam'
    """
    names = sorted(known)
    near = difflib.get_close_matches(word, names, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    return f"{hint}Known: {', '.join(names) or 'none'}"


def pip_install(what: str) -> str:
    """The line that installs packages for this interpreter, whichever ``pip`` the shell finds."""
    python = shlex.quote(sys.executable)
    if find_spec("pip") is None and shutil.which("uv"):
        return f"uv pip install --python {python} {what}"
    return f"{python} -m pip install {what}"


WITH_TORCH = frozenset({"models", "train", "laptop", "gliner", "groundingdino", "sam"})
"""Extras that bring torch, whose usual build for Linux comes with gigabytes for NVIDIA's GPUs."""

_CPU_BUILDS = "https://download.pytorch.org/whl/cpu"


def install_command(package: str, extra: str | None) -> str:
    """The line that installs a package here, with all else that the extra that brings it holds.

    It is for this interpreter, and takes no GPU packages where there is no GPU.
    """
    command = pip_install(f'"riveg[{extra}]"' if extra else package)
    has_gpu = sys.platform != "linux" or shutil.which("nvidia-smi")
    if extra not in WITH_TORCH or has_gpu or find_spec("torch"):
        return command
    return f"{command} --extra-index-url {_CPU_BUILDS}"


class MissingExtra(UserError):
    """Something needs a package that is not here, which an extra (``None``: its name) brings."""

    def __init__(self, what: str, package: str, extra: str | None) -> None:
        super().__init__(f"{what} needs the package {package}: {install_command(package, extra)}")


class MissingModel(UserError):
    """A model of the hub is not in its cache; ``riveg fetch`` gets it."""


class UntrainedModel(MissingModel):
    """A model that a system names is not there, and no hub has it: it has to be trained."""


class ImageFault(RivegError):
    """An image that cannot be used; becomes an Issue on its sample.

    Args:
        kind: Why.
        message: What is wrong with which image.
    """

    def __init__(self, kind: ImageFaultKind, message: str) -> None:
        super().__init__(message)
        self.kind = kind
