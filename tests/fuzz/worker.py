"""A process that gives riveg one command after the other, as a user would, and watches it.

It reads a request a line (JSON: ``arguments``, ``folder``) and writes a reply a line. What a
command prints goes to real files behind the descriptors 1 and 2: native code is heard as well.
"""

from __future__ import annotations

import faulthandler
import json
import os
import resource
import shutil
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any, BinaryIO

_MOST_DATA = 8 << 30
"""Bytes that the process may ask for: a bomb ends here and not with the machine."""

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

_CHANGES = {
    "os.remove": (0,),
    "os.rename": (0, 1),
    "os.mkdir": (0,),
    "os.rmdir": (0,),
    "os.symlink": (1,),
    "os.link": (1,),
    "os.chmod": (0,),
    "os.chown": (0,),
    "os.truncate": (0,),
    "shutil.rmtree": (0,),
    "shutil.move": (0, 1),
}
"""Events by name, and which of their values are paths that are changed."""

_NEVER = {
    "socket.connect",
    "subprocess.Popen",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.fork",
    "pickle.find_class",
}
"""Code from data, other programs and the network: nothing that is asked here needs them."""

_PRIVATE = ("/dev/null", "/dev/tty", "/proc/self/", "/dev/shm/sem.")


class Watch:
    """Notes what a command does outside its folder, by the interpreter's own events."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = str(scratch)
        self._folder: str | None = None
        self.seen: list[str] = []

    def begin(self, folder: Path) -> None:
        self._folder, self.seen = str(folder), []

    def end(self) -> list[str]:
        self._folder = None
        return self.seen

    def __call__(self, event: str, values: tuple[Any, ...]) -> None:
        if self._folder is None:
            return
        if event in _NEVER and values[:1] != ("uname",):  # Python asks it for the processor
            self._note(event, values)
        elif event == "open":
            path, _, flags = values
            if isinstance(flags, int) and flags & _WRITES:
                self._require_inside(event, path)
        elif event in _CHANGES:
            for place in _CHANGES[event]:
                self._require_inside(event, values[place])

    def _require_inside(self, event: str, path: object) -> None:
        if not isinstance(path, str | bytes | os.PathLike):
            return  # a descriptor
        # Links on the way count: what matters is where the bytes land.
        given = Path(os.fsdecode(path))
        place = str(given.parent.resolve() / given.name)
        roots = (self._folder or "", self._scratch)
        if place not in roots and not place.startswith(
            (*(f"{root}/" for root in roots), *_PRIVATE)
        ):
            self._note(event, place)

    def _note(self, event: str, what: object) -> None:
        if len(self.seen) < 9:
            self.seen.append(f"{event} {what!r:.200}")


def _run(arguments: list[str]) -> tuple[int, str]:
    """The exit code of a command, and the traceback of what it should have caught."""
    from riveg.cli import main

    sys.argv = ["riveg", *arguments]
    try:
        main()
    except SystemExit as end:
        return (end.code if isinstance(end.code, int) else int(end.code is not None)), ""
    except BaseException:
        return 1, traceback.format_exc()
    return 0, ""


def _call(name: str, arguments: list[str]) -> tuple[int, str]:
    """The same of a function of the fuzz itself, ``module:name``, which drives the library."""
    from importlib import import_module

    from riveg.errors import RivegError

    module, _, function = name.partition(":")
    try:
        getattr(import_module(module), function)(*arguments)
    except RivegError as error:
        sys.stderr.write(f"riveg: {error}\n")
        return 2, ""
    except BaseException:
        return 1, traceback.format_exc()
    return 0, ""


class _Printed:
    """A file behind a standard descriptor."""

    def __init__(self, descriptor: int, path: Path) -> None:
        self._file: BinaryIO = path.open("w+b")
        os.dup2(self._file.fileno(), descriptor)

    def take(self) -> str:
        self._file.seek(0)
        text = self._file.read().decode("utf-8", "replace")
        self._file.seek(0)
        self._file.truncate()
        return text


def serve(scratch: Path) -> None:
    requests, replies = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w")
    native = (scratch / "fault").open("w")
    faulthandler.enable(native)
    printed = [_Printed(1, scratch / "stdout"), _Printed(2, scratch / "stderr")]
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    resource.setrlimit(resource.RLIMIT_DATA, (_MOST_DATA, _MOST_DATA))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    watch = Watch(scratch)
    sys.addaudithook(watch)
    for line in requests:
        request = json.loads(line)
        folder = Path(request["folder"])
        os.chdir(folder)
        tempfile.tempdir = str(scratch)
        began = time.process_time()
        watch.begin(folder)
        first, *others = request["arguments"]
        is_call = ":" in first
        code, trace = _call(first, others) if is_call else _run(request["arguments"])
        outside = watch.end()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os.chdir("/")
        for left in scratch.glob("riveg*"):
            shutil.rmtree(left, ignore_errors=True)
        stdout, stderr = (one.take() for one in printed)
        reply = {
            "code": code,
            "stdout": stdout,
            "stderr": stderr,
            "trace": trace,
            "outside": outside,
            "seconds": time.process_time() - began,
            "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        }
        replies.write(json.dumps(reply) + "\n")
        replies.flush()


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
