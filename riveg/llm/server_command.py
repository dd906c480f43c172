"""The command line and the environment of a server that riveg starts."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from riveg.checkpoints.adapters import adapter_of
from riveg.errors import UserError, install_command
from riveg.llm.endpoint import ADAPTER, Endpoint, Serve

HOST = "127.0.0.1"
"""Servers that riveg starts can be reached from this machine alone."""

_EXTRAS = {"vllm": "vllm", "transformers": "laptop"}
"""The extra that brings each engine."""

_CHOSEN = frozenset({"--host", "--port", "--api-key", "--uds"})

_QUIET = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
"""Servers send nothing to others than riveg; a user's own setting wins."""

_USUAL: Mapping[str, Mapping[str, str]] = {
    "vllm": {},
    # Threads that spin while they wait cost four to six times the time where other programs run on
    # the same cores.
    "transformers": {"OMP_WAIT_POLICY": "PASSIVE"},
}
"""More variables of each engine; a user's own setting wins."""


def launcher(serve: Serve) -> tuple[str, ...]:
    """The command with the program's path: from ``PATH``, or beside the running Python.

    Raises:
        UserError: If it is not installed.
    """
    program, *rest = serve.command
    found = shutil.which(program) or shutil.which(program, path=str(Path(sys.executable).parent))
    if found is None:
        command = install_command(serve.engine, _EXTRAS[serve.engine])
        raise UserError(
            f"serve: no program {program!r} on PATH or beside {sys.executable}: "
            f"{command}, or name the launcher with serve.command"
        )
    return (found, *rest)


def arguments_of(endpoint: Endpoint, port: int) -> list[str]:
    """What follows the command: model, address, adapter, then the user's own arguments.

    A command that ends in ``serve`` takes the model as a positional argument, as ``vllm serve`` and
    ``transformers serve`` do; any other, such as ``python -m vllm.entrypoints.openai.api_server``,
    as ``--model``.

    Raises:
        UserError: If the user's arguments choose the address or the key, or the endpoint's adapter
            is not here or does not fit.
    """
    assert endpoint.serve is not None
    for argument in endpoint.serve.arguments:
        if argument.partition("=")[0] in _CHOSEN:
            raise UserError(
                f"serve.arguments: {argument.partition('=')[0]} is riveg's to choose (loopback, a "
                "free port, a random key); for a server of your own give base_urls"
            )
    named = [] if endpoint.serve.command[-1] == "serve" else ["--model"]
    revision = ["--revision", endpoint.revision] if endpoint.revision else []
    address = ["--host", HOST, "--port", str(port)]
    given = (*_adapter_arguments(endpoint), *endpoint.serve.arguments)
    return [*named, endpoint.model, *revision, *address, *given]


def _adapter_arguments(endpoint: Endpoint) -> tuple[str, ...]:
    adapter = adapter_of(endpoint)
    if adapter is None:
        return ()
    # Its shorter form, NAME=PATH, takes no path with a comma in it.
    module = json.dumps({"name": ADAPTER, "path": str(adapter.folder)})
    return ("--enable-lora", "--lora-modules", module, "--max-lora-rank", str(adapter.room))


def environment_of(serve: Serve, key: str, inherited: Mapping[str, str]) -> dict[str, str]:
    """The server's variables: this process's (such as ``HF_HUB_OFFLINE``), then the user's."""
    usual = {**_QUIET, **_USUAL[serve.engine]}
    return {**usual, **inherited, **serve.environment, "VLLM_API_KEY": key}
