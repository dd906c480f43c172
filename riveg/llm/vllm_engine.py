"""vLLM's engine in this process: loaded quietly, and ended if this process is killed."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from riveg.checkpoints.adapters import adapter_of
from riveg.checkpoints.tokenizer_files import require_bounded_files
from riveg.checkpoints.wheel_models import require_made
from riveg.errors import MissingExtra, RivegError
from riveg.llm import guard
from riveg.llm.endpoint import ADAPTER, Endpoint

_QUIET = {
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "VLLM_LOGGING_LEVEL": "WARNING",
    # Its own choice is stdout, which is for riveg's results.
    "VLLM_LOGGING_STREAM": "ext://sys.stderr",
}
"""vLLM reads them when it is imported; a variable that the user has set stays as it is."""


def load_engine(endpoint: Endpoint) -> tuple[Any, EngineWatch]:
    """A ``vllm.LLM`` with the model's weights, and what ends it if this process is killed.

    Raises:
        MissingModel: If the model is one that ``riveg fetch`` makes and has not made.
        UserError: If it is a folder whose tokenizer makes too much of a text, or its adapter is not
            here or does not fit.
        MissingExtra: If vLLM is not installed.
        RivegError: If vLLM cannot load the model.
    """
    require_made(endpoint.model)
    require_bounded_files(Path(endpoint.model))
    adapter = adapter_of(endpoint)
    room = {} if adapter is None else {"enable_lora": True, "max_lora_rank": adapter.room}
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    try:
        from vllm import LLM
    except ImportError as error:
        raise MissingExtra(f"the model {endpoint.model}", "vllm", "vllm") from error
    watch = EngineWatch()
    try:
        with watch:
            options = {**room, **endpoint.options}
            engine = LLM(model=endpoint.model, revision=endpoint.revision, **options)
    except BaseException as error:
        watch.dismiss()
        if not isinstance(error, Exception):
            raise
        raise RivegError(
            f"vllm-offline: {endpoint.shown} cannot be loaded: {first_line(error)}; what vllm "
            "printed before says more"
        ) from error
    return engine, watch


def adapter_request(endpoint: Endpoint) -> Any:
    """A ``LoRARequest`` for the endpoint's adapter; ``None`` where it has none."""
    adapter = adapter_of(endpoint)
    if adapter is None:
        return None
    from vllm.lora.request import LoRARequest

    return LoRARequest(ADAPTER, 1, str(adapter.folder))


class EngineWatch:
    """Ends the processes that start in its ``with`` block, if this process is killed later.

    vLLM's engine is a process of its own that waits for its owner for ever.
    """

    def __init__(self) -> None:
        self._guard = subprocess.Popen(
            [sys.executable, "-I", "-S", guard.__file__, "5", "--watch"],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        self._before = _children()
        self._reported: set[int] = set()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._report_children, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def dismiss(self) -> None:
        """Tells the guard that no process is left to end."""
        self._write("done")
        self._guard.communicate()

    def _report_children(self) -> None:
        # Loading takes minutes; this process may be killed meanwhile.
        while not self._done.wait(0.1):
            self._report()
        self._report()

    def _report(self) -> None:
        for number in _children() - self._before - self._reported:
            self._reported.add(number)
            self._write(str(number))

    def _write(self, word: str) -> None:
        assert self._guard.stdin is not None
        with contextlib.suppress(OSError):  # somebody may have killed the guard
            self._guard.stdin.write(f"{word}\n".encode())
            self._guard.stdin.flush()


def _children() -> set[int]:
    return {child.pid for child in multiprocessing.active_children() if child.pid is not None}


def first_line(error: BaseException) -> str:
    """An error's text on one line, or the name of its class."""
    return " ".join(str(error).split())[:500] or type(error).__name__
