"""``serve``: a server that riveg starts on a free loopback port, waits for, and stops."""

from __future__ import annotations

import atexit
import os
import re
import secrets
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from types import TracebackType

from riveg.checkpoints.wheel_models import require_made
from riveg.errors import RivegError
from riveg.llm import guard
from riveg.llm.endpoint import Endpoint
from riveg.llm.server_command import HOST, arguments_of, environment_of, launcher
from riveg.llm.server_log import log_redaction, open_private, readable, reasons, redact_file

Say = Callable[[str], None]
"""Takes a line for people."""

_POLL_S = 0.25
_SAY_EVERY_S = 10.0
_GRACE_S = 15.0
"""How long a server may take to end before it is killed."""
_PORTS_TRIED = 3
_TAIL_BYTES = 64 * 1024


class Server:
    """One server process and all that it starts; nothing runs before :meth:`start`.

    It is stopped by :meth:`stop`, at the interpreter's end, and by its guard if this process is
    killed. Threads may share it.

    Args:
        endpoint: With ``serve``: the model, the command and its arguments.
        say: Receives a line about each longer wait.
        logs: Folder for what the server prints; ``None``: a temporary file, deleted at the end.
    """

    def __init__(self, endpoint: Endpoint, *, say: Say, logs: Path | None = None) -> None:
        if endpoint.serve is None:
            raise ValueError("the endpoint has no serve")
        self._endpoint = endpoint
        self._serve = endpoint.serve
        self._say = say
        self._logs = logs
        self._key = secrets.token_urlsafe(32)
        self._redaction = log_redaction(endpoint.serve, self._key)
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._ready = False
        self._port = 0
        self._log: Path | None = None

    @property
    def api_key(self) -> str:
        """The key that requests need; random, never in an argument list.

        ``transformers serve`` knows no keys and answers whoever reaches its loopback port.
        """
        return self._key

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> str:
        """The root of the ready server, such as ``http://127.0.0.1:43121/v1``; starts it if needed.

        Raises:
            UserError: If the program of ``serve.command`` is not installed, or the model is one
                that ``riveg fetch`` makes and has not made, or its adapter does not fit.
            RivegError: If the server ends or is late; with its own last lines.
        """
        with self._lock:
            if self._ready and self._process is not None and self._process.poll() is None:
                return self._url
            self._stop()
            require_made(self._endpoint.model)
            command = launcher(self._serve)
            try:
                self._start_and_wait(command)
            except BaseException:
                self._stop()
                raise
            return self._url

    def stop(self) -> None:
        """Ends the server with all its processes, if it runs."""
        with self._lock:
            self._stop()

    def last_words(self, patience_s: float = 0.0) -> str | None:
        """How the server ended and its last lines; ``None`` if it runs or was not started.

        Args:
            patience_s: How long to wait for its end: the guard ends its other processes first.
        """
        process = self._process
        if process is None:
            return None
        try:
            code = process.wait(patience_s)
        except subprocess.TimeoutExpired:
            return None
        return self._with_reasons(f"{self._name}: {_ended(code)}")

    @property
    def _url(self) -> str:
        return f"http://{HOST}:{self._port}/v1"

    @property
    def _name(self) -> str:
        program, *rest = self._serve.command
        return " ".join([Path(program).name, *rest, self._endpoint.shown])

    def _start_and_wait(self, command: tuple[str, ...]) -> None:
        for left in reversed(range(_PORTS_TRIED)):
            self._spawn(command)
            if self._wait():
                return
            # Another process may have taken the port between the choice and the use of it.
            if not left or "address already in use" not in self._tail().lower():
                break
            self._stop()
        code = self._process.returncode if self._process else None
        raise RivegError(self._with_reasons(f"{self._name}: {_ended(code)} before it was ready"))

    def _spawn(self, command: tuple[str, ...]) -> None:
        self._port = _free_port()
        self._log = self._log_path()
        line = [*command, *arguments_of(self._endpoint, self._port)]
        with open_private(self._log) as log:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", guard.__file__, str(_GRACE_S), *line],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment_of(self._serve, self._key, os.environ),
                start_new_session=True,
            )
        atexit.register(self._stop_at_exit)

    def _wait(self) -> bool:
        """Whether the server became ready; false if it ended before.

        Raises:
            RivegError: If it is late.
        """
        process = self._process
        assert process is not None
        started = time.monotonic()
        last_progress = -_SAY_EVERY_S
        while process.poll() is None:
            waited = time.monotonic() - started
            # Polled again after the check: another server may have the port by now.
            if _is_healthy(self._port) and process.poll() is None:
                self._ready = True
                self._say(f"{self._name}: ready in {waited:.0f} s")
                return True
            if waited > self._serve.ready_timeout_s:
                raise RivegError(
                    self._with_reasons(
                        f"{self._name}: not ready within {self._serve.ready_timeout_s:g} s "
                        "(serve.ready_timeout_s)"
                    )
                )
            if waited - last_progress >= _SAY_EVERY_S:
                last_progress = waited
                self._say(self._progress(waited))
            time.sleep(_POLL_S)
        return False

    def _progress(self, waited: float) -> str:
        lines = readable(self._tail())
        doing = f": {lines[-1][:100]}" if lines else ""
        return f"{self._name}: waiting for it, {waited:.0f} s{doing}"

    def _stop(self) -> None:
        process, self._process, self._ready = self._process, None, False
        if process is None:
            return
        assert process.stdin is not None
        process.stdin.close()  # tells the guard to end it
        try:
            process.wait(_GRACE_S + 15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        atexit.unregister(self._stop_at_exit)
        if self._log is not None and self._log.exists():
            self._put_away(self._log)

    def _put_away(self, log: Path) -> None:
        if self._logs is None:
            log.unlink(missing_ok=True)
            return
        try:
            redact_file(log, self._redaction)
        except OSError as error:
            self._say(f"{log}: may hold secrets ({error.strerror}); delete it")

    def _stop_at_exit(self) -> None:
        # Another thread may still wait for the start; then the guard ends the server.
        if self._lock.acquire(timeout=1):
            try:
                self._stop()
            finally:
                self._lock.release()

    def _log_path(self) -> Path:
        name = re.sub(r"[^A-Za-z0-9.-]+", "-", Path(self._endpoint.model).name) or "model"
        if self._logs is None:
            handle, path = tempfile.mkstemp(prefix=f"riveg-{name}-", suffix=".log")
            os.close(handle)
            return Path(path)
        self._logs.mkdir(parents=True, exist_ok=True)
        return self._logs / f"serve-{name}-{self._port}.log"

    def _tail(self) -> str:
        if self._log is None or not self._log.exists():
            return ""
        with self._log.open("rb") as log:
            before = max(0, log.seek(0, os.SEEK_END) - _TAIL_BYTES)
            log.seek(before)
            # A line that is cut off may hold the end of a secret, which nothing would find.
            whole = log.read().partition(b"\n")[2] if before else log.read()
        return self._redaction(whole.decode("utf-8", "replace"))

    def _with_reasons(self, what: str) -> str:
        """What happened, then the lines of the log that say why."""
        lines = [*reasons(readable(self._tail()))]
        where = f" (all of it: {self._log})" if self._logs is not None else ""
        if not lines:
            return f"{what}; it printed nothing"
        return f"{what}; its last lines{where}:\n" + "\n".join(f"  {line[:300]}" for line in lines)


def _ended(code: int | None) -> str:
    # The kernel kills a process when memory runs out, and nothing is printed.
    why = " (killed: out of memory?)" if code == 128 + 9 else ""
    return f"ended with exit code {code}{why}"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _is_healthy(port: int) -> bool:
    # Not urllib, which may ask a proxy of the environment for a loopback address.
    connection = HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
