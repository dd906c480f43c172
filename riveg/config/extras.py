"""What is installed: extras, their packages, and which backends work because of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec

from riveg.config.backend import BackendConfig
from riveg.errors import UserError, install_command
from riveg.llm.endpoint import Endpoint
from riveg.registry import backend_config, backend_table

_LAPTOP = ("torch", "transformers", "safetensors", "accelerate", "fastapi", "gguf", "uvicorn")

EXTRAS: dict[str, tuple[str, ...]] = {
    "chat": ("openai",),
    "data": ("datasets", "pyarrow"),
    "plot": ("matplotlib",),
    "models": ("torch", "transformers", "safetensors"),
    "train": ("torch", "transformers", "safetensors", "accelerate", "onnx", "peft"),
    "vllm": ("vllm",),
    "laptop": ("openai", *_LAPTOP),
    "gliner": ("gliner2", "torch", "transformers", "safetensors", "peft"),
    "ray": ("ray",),
    "stores": ("fsspec", "s3fs"),
    "groundingdino": ("groundingdino", "torch", "torchvision", "transformers"),
    "sam": ("segment_anything", "torch", "torchvision"),
}
"""Import names of the packages that each extra of ``pyproject.toml`` brings."""


@dataclass(frozen=True, slots=True)
class MissingPackage:
    """A package that is not installed, by its import name, and the extra that brings it."""

    package: str
    extra: str | None

    @property
    def command(self) -> str:
        """The line that installs it here."""
        return install_command(self.package, self.extra)


_CLIENTS = {
    "http": MissingPackage("openai", "chat"),
    "vllm-offline": MissingPackage("vllm", "vllm"),
}
"""What talks to a language model, by the engine of its endpoint."""


@dataclass(frozen=True, slots=True)
class BackendState:
    """A backend and, where it cannot work here, the package it lacks.

    ``fault`` says what is wrong with one that does not even load.
    """

    stage: str
    name: str
    summary: str
    missing: MissingPackage | None = None
    fault: str | None = None


def missing_package(config: type[BackendConfig[object]]) -> MissingPackage | None:
    """The first package that a backend lacks here, besides what talks to its language model."""
    absent = (package for package in config.packages if not _is_installed(package))
    package = next(absent, None)
    return MissingPackage(package, config.extra) if package else None


def missing_client(endpoint: Endpoint | None = None) -> MissingPackage | None:
    """What talks to a language model and is not here.

    Args:
        endpoint: The model; where it is not known, any of the clients will do.
    """
    clients = [_CLIENTS[endpoint.engine]] if endpoint else list(_CLIENTS.values())
    absent = [client for client in clients if not _is_installed(client.package)]
    return absent[0] if len(absent) == len(clients) else None


def backend_states() -> Iterator[BackendState]:
    """Every backend, riveg's own and third parties', in the order of the stages."""
    for stage, names in backend_table().items():
        for name in names:
            try:
                config = backend_config(stage, name)
            except UserError as error:
                yield BackendState(stage, name, "", fault=str(error))
                continue
            asks_a_model = "llm" in config.model_fields
            missing = missing_package(config) or (missing_client() if asks_a_model else None)
            yield BackendState(stage, name, config.summary, missing)


def missing_of_extra(extra: str) -> tuple[str, ...]:
    """Packages of an extra that are not installed."""
    return tuple(package for package in EXTRAS[extra] if not _is_installed(package))


def _is_installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except (ImportError, ValueError):  # of a parent that is not there, or a package half loaded
        return False
