"""What is installed: extras, their packages, and which backends work because of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec

from riveg.config.backend import BackendConfig
from riveg.errors import UserError, install_command
from riveg.registry import backend_config, backend_table

_LAPTOP = ("torch", "transformers", "safetensors", "accelerate", "fastapi", "gguf", "uvicorn")

EXTRAS: dict[str, tuple[str, ...]] = {
    "chat": ("openai",),
    "data": ("datasets", "pyarrow"),
    "plot": ("matplotlib",),
    "models": ("torch", "transformers", "safetensors"),
    "train": ("torch", "transformers", "safetensors", "onnx"),
    "vllm": ("vllm",),
    "laptop": ("openai", *_LAPTOP),
    "groundingdino": ("groundingdino", "torch", "torchvision", "transformers"),
    "sam": ("segment_anything", "torch", "torchvision"),
}
"""Import names of the packages that each extra of ``pyproject.toml`` brings."""


@dataclass(frozen=True, slots=True)
class BackendState:
    """A backend and, where it cannot work here, the package it lacks and the command to get it.

    Of a broken one, ``command`` says why it is.
    """

    stage: str
    name: str
    summary: str
    missing: str | None
    command: str | None


def missing_package(config: type[BackendConfig[object]]) -> tuple[str | None, str | None]:
    """The first package that a backend lacks and the command that brings it, or twice ``None``."""
    for package in config.packages:
        if not _is_installed(package):
            extra = config.extra
            return package, install_command(extra) if extra else f"pip install {package}"
    return None, None


def backend_states() -> Iterator[BackendState]:
    """Every backend, riveg's own and third parties', in the order of the stages."""
    for stage, names in backend_table().items():
        for name in names:
            try:
                config = backend_config(stage, name)
            except UserError as error:
                yield BackendState(stage, name, "", "a module that loads", str(error))
                continue
            missing, command = missing_package(config)
            yield BackendState(stage, name, config.summary, missing, command)


def missing_of_extra(extra: str) -> tuple[str, ...]:
    """Packages of an extra that are not installed."""
    return tuple(package for package in EXTRAS[extra] if not _is_installed(package))


def _is_installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except (ImportError, ValueError):  # of a parent that is not there, or a package half loaded
        return False
