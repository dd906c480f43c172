"""Images that are opened and resized by other processes while the network computes.

Workers are programs of their own on a pipe, not children of ``multiprocessing``: nothing is forked
under threads or a GPU, a script without a ``__main__`` guard is not run again, and none outlives
this process, however it ends. Whatever goes wrong in a worker, the image is prepared here
instead, where it goes wrong in the usual way; and so is every image that is wanted before a
worker has begun with it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import subprocess
import sys
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

from riveg.errors import ImageFault
from riveg.protocols import ImageSource
from riveg.types import ImageRef
from riveg.vision.runtime.image_worker import ALONE, Prepared, prepared

__all__ = ["ImageQueue", "Prepared"]

log = logging.getLogger(__name__)

T = TypeVar("T")

_AHEAD = 48
"""Images that are prepared or being so before they are taken."""

_PATIENCE_SECONDS = 60.0
"""How long a worker may take for an image; it is then prepared here."""

_Task = tuple["Future[Any]", bytes]


class ImageQueue(Generic[T]):
    """What a network takes of each image, made ahead of it.

    Args:
        images: Where images come from.
        prepare: Makes of an upright image, RGB, *shape* ``(height, width, 3)``, what the network
            takes. For workers it must be one that ``pickle`` can send: a function of a module, or
            :func:`functools.partial` of one; what it returns likewise, tensors on the CPU.
        workers: Processes; 0 prepares everything in this one.
        ahead: At most so many images are held before they are taken.
    """

    def __init__(
        self,
        images: ImageSource,
        prepare: Callable[[Any], T],
        *,
        workers: int = 0,
        ahead: int = _AHEAD,
    ) -> None:
        self._images = images
        self._prepare = prepare
        self._workers = workers
        self._most_ahead = ahead
        self._crew: _Crew | None = None
        self._later: deque[ImageRef] = deque()
        self._sent: list[_Awaited] = []

    def expect(self, images: Iterable[ImageRef]) -> None:
        """Says which images will be taken next, in order; takes the place of what was said."""
        self._forget()
        expected = list(images)
        if self._workers == 0 or len(expected) < 2:
            return
        if self._crew is None:
            self._crew = _hired(self._prepare, min(self._workers, len(expected)))
        if self._crew is None:
            self._workers = 0
            return
        self._later.extend(expected)
        self._send_ahead()

    def probe(self, image: ImageRef) -> ImageRef:
        """The reference with the upright image's sides; one that is expected stays so.

        Raises:
            ImageFault: If the image cannot be used; it is then not expected any more.
        """
        awaited = self._awaited(image)
        if awaited is None:
            return self._images.probe(image)
        try:
            height, width = self._settled(awaited).size
        except BaseException:
            self._sent.remove(awaited)
            raise
        return ImageRef(image.path, width=width, height=height)

    def take(self, image: ImageRef) -> Prepared[T]:
        """An image, prepared; at once where it was expected long enough ago.

        Raises:
            ImageFault: If the image cannot be used.
        """
        awaited = self._awaited(image)
        if awaited is None:
            return prepared(self._images, image, self._prepare)
        self._sent.remove(awaited)
        self._send_ahead()
        return self._settled(awaited)

    def distinct(self, images: Iterable[ImageRef | None]) -> dict[str, Prepared[T] | ImageFault]:
        """Each image by its path, or why it cannot be used; none is opened twice."""
        found: dict[str, Prepared[T] | ImageFault] = {}
        for image in images:
            if image is None or image.path in found:
                continue
            try:
                found[image.path] = self.take(image)
            except ImageFault as fault:
                found[image.path] = fault
        return found

    def close(self) -> None:
        """Ends the workers; images that are still taken are prepared on the spot."""
        self._forget()
        if self._crew is not None:
            self._crew.dismiss()
            self._crew = None

    def _settled(self, awaited: _Awaited) -> Prepared[T]:
        if awaited.found is None and not awaited.future.cancel():
            with contextlib.suppress(TimeoutError):
                awaited.found = awaited.future.result(_PATIENCE_SECONDS)
        if awaited.found is None:
            awaited.found = prepared(self._images, awaited.image, self._prepare)
        return awaited.found

    def _awaited(self, image: ImageRef) -> _Awaited | None:
        for awaited in self._sent:
            if awaited.image.path == image.path:
                return awaited
        # More are held at a time than was thought; but what is asked for again may be much later.
        near = islice(self._later, self._most_ahead)
        if all(later.path != image.path for later in near):
            return None
        while self._send_next().image.path != image.path:
            pass
        return self._sent[-1]

    def _send_ahead(self) -> None:
        while self._later and len(self._sent) < self._most_ahead:
            self._send_next()

    def _send_next(self) -> _Awaited:
        assert self._crew is not None
        image = self._later.popleft()
        awaited = _Awaited(image, self._crew.ask(self._images, image))
        self._sent.append(awaited)
        return awaited

    def _forget(self) -> None:
        self._later.clear()
        for awaited in self._sent:
            awaited.future.cancel()
        self._sent.clear()


@dataclass(eq=False, slots=True)
class _Awaited:
    """An expected image: its answer, or, ``None``, that it must be prepared here."""

    image: ImageRef
    future: Future[Any]
    found: Prepared[Any] | None = None


class _Crew:
    """Worker processes, each with a thread that hands it one task after another."""

    def __init__(self, prepare: bytes, count: int) -> None:
        self._tasks: SimpleQueue[_Task | None] = SimpleQueue()
        self._processes = [_started() for _ in range(count)]
        self._threads = [
            threading.Thread(target=_attend, args=(process, prepare, self._tasks), daemon=True)
            for process in self._processes
        ]
        for thread in self._threads:
            thread.start()
        # Also when this is forgotten, or the interpreter ends.
        self.dismiss = weakref.finalize(self, _dismiss, self._processes, self._threads, self._tasks)

    def ask(self, images: ImageSource, image: ImageRef) -> Future[Any]:
        """Has a worker prepare an image, as soon as one has time."""
        future: Future[Any] = Future()
        # With the source, as it is now: it may point elsewhere later.
        self._tasks.put((future, pickle.dumps((images, image))))
        return future


def _hired(prepare: Callable[[Any], Any], count: int) -> _Crew | None:
    try:
        return _Crew(pickle.dumps(prepare), count)
    except (OSError, pickle.PicklingError, AttributeError, TypeError) as error:
        log.warning("pictures are prepared in this process: no worker can be had (%s)", error)
        return None


def _started() -> subprocess.Popen[bytes]:
    path = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
    return subprocess.Popen(
        [sys.executable, "-P", "-c", "from riveg.vision.runtime.image_worker import main; main()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **ALONE, "PYTHONPATH": path},
        # Of its own session, so that Ctrl-C is heard by this process alone.
        start_new_session=True,
    )


def _attend(
    process: subprocess.Popen[bytes], prepare: bytes, tasks: SimpleQueue[_Task | None]
) -> None:
    """Gives a worker tasks from the moment it has loaded what it needs until it ends."""
    if _asked(process, prepare) is _GONE:
        return
    while (task := tasks.get()) is not None:
        future, question = task
        if not future.set_running_or_notify_cancel():
            continue
        answer = _asked(process, question)
        future.set_result(None if answer is _GONE else answer)
        if answer is _GONE:
            return


_GONE = object()


def _asked(process: subprocess.Popen[bytes], question: bytes) -> Any:
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(question)
        process.stdin.flush()
        return pickle.load(process.stdout)
    except Exception as error:  # it was ended, or is no program that speaks to us
        log.info("a process that prepares pictures has ended (%s)", error)
        return _GONE


def _dismiss(
    processes: Sequence[subprocess.Popen[bytes]],
    threads: Sequence[threading.Thread],
    tasks: SimpleQueue[_Task | None],
) -> None:
    for process in processes:
        process.kill()
        tasks.put(None)
    for thread in threads:
        thread.join()
    for process in processes:
        # Closes the pipes; what was not written yet has nobody to go to.
        with contextlib.suppress(BrokenPipeError), process:
            pass
