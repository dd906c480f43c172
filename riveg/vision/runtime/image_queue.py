"""Images that other processes open and resize while the network computes.

Workers are programs of their own (:mod:`riveg.processes`) on a pipe. Whatever goes wrong in a
worker, the image is prepared in this process instead, where its error is raised in the usual way.
So is every image that is needed before a worker has begun with it.
"""

from __future__ import annotations

import contextlib
import logging
import pickle
import subprocess
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import islice
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

from riveg.errors import ImageFault
from riveg.processes import start_python
from riveg.protocols import ImageSource
from riveg.types import ImageRef
from riveg.vision.runtime.image_worker import PreparedImage, prepare_image

log = logging.getLogger(__name__)

T = TypeVar("T")

_AHEAD = 48
"""Images that are prepared, or being prepared, before they are taken."""

_PATIENCE_SECONDS = 60.0
"""How long a worker may take for an image; after that it is prepared in this process."""

_Task = tuple["Future[Any]", bytes]


class PreparedImageQueue(Generic[T]):
    """What a network takes of each image, prepared ahead of it.

    Args:
        images: Where images come from.
        prepare: Makes the network's input of an upright image, RGB, *shape* ``(height, width,
            3)``. For workers ``pickle`` must be able to send it: a function of a module, or
            :func:`functools.partial` of one; and likewise its result, with tensors on the CPU.
        workers: Processes; 0 prepares everything in this one.
        ahead: Highest number of images that are held before they are taken.
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
        self._worker_count = workers
        self._most_ahead = ahead
        self._workers: _Workers | None = None
        self._later: deque[ImageRef] = deque()
        self._sent: list[_SentImage] = []

    def expect(self, images: Iterable[ImageRef]) -> None:
        """Says which images will be taken next, in order; replaces what was said before."""
        self._forget()
        expected = list(images)
        if self._worker_count == 0 or len(expected) < 2:
            return
        if self._workers is None:
            self._workers = _start_workers(self._prepare, min(self._worker_count, len(expected)))
        if self._workers is None:
            self._worker_count = 0
            return
        self._later.extend(expected)
        self._send_ahead()

    def probe(self, image: ImageRef) -> ImageRef:
        """The reference with the upright image's sides; an expected image stays expected.

        Raises:
            ImageFault: If the image cannot be used; it is then not expected any more.
        """
        sent = self._find_sent(image)
        if sent is None:
            return self._images.probe(image)
        try:
            size = self._prepared(sent).size
        except BaseException:
            self._sent.remove(sent)
            raise
        return ImageRef(image.path, width=size.width, height=size.height)

    def take(self, image: ImageRef) -> PreparedImage[T]:
        """An image, prepared; without waiting where it was expected early enough.

        Raises:
            ImageFault: If the image cannot be used.
        """
        sent = self._find_sent(image)
        if sent is None:
            return prepare_image(self._images, image, self._prepare)
        self._sent.remove(sent)
        self._send_ahead()
        return self._prepared(sent)

    def take_distinct(
        self, images: Iterable[ImageRef | None]
    ) -> dict[str, PreparedImage[T] | ImageFault]:
        """Each image by its path, or why it cannot be used; no image is opened twice."""
        taken: dict[str, PreparedImage[T] | ImageFault] = {}
        for image in images:
            if image is None or image.path in taken:
                continue
            try:
                taken[image.path] = self.take(image)
            except ImageFault as fault:
                taken[image.path] = fault
        return taken

    def close(self) -> None:
        """Ends the workers; images that are taken afterwards are prepared in this process."""
        self._forget()
        if self._workers is not None:
            self._workers.end()
            self._workers = None

    def _prepared(self, sent: _SentImage) -> PreparedImage[T]:
        if sent.prepared is None and not sent.future.cancel():
            with contextlib.suppress(TimeoutError):
                sent.prepared = sent.future.result(_PATIENCE_SECONDS)
        if sent.prepared is None:
            sent.prepared = prepare_image(self._images, sent.image, self._prepare)
        return sent.prepared

    def _find_sent(self, image: ImageRef) -> _SentImage | None:
        """An image at a worker; sends it now if it is among the next ones that would be sent."""
        for sent in self._sent:
            if sent.image.path == image.path:
                return sent
        # A backend may hold more images at a time than ``ahead``. An image that is asked for again,
        # however, may come much later in the queue: everything before it would be sent.
        near = islice(self._later, self._most_ahead)
        if all(later.path != image.path for later in near):
            return None
        while self._send_next().image.path != image.path:
            pass
        return self._sent[-1]

    def _send_ahead(self) -> None:
        while self._later and len(self._sent) < self._most_ahead:
            self._send_next()

    def _send_next(self) -> _SentImage:
        assert self._workers is not None
        image = self._later.popleft()
        sent = _SentImage(image, self._workers.send(self._images, image))
        self._sent.append(sent)
        return sent

    def _forget(self) -> None:
        self._later.clear()
        for sent in self._sent:
            sent.future.cancel()
        self._sent.clear()


@dataclass(eq=False, slots=True)
class _SentImage:
    """An image at a worker, and what it became; the future gives ``None`` where that failed."""

    image: ImageRef
    future: Future[Any]
    prepared: PreparedImage[Any] | None = None


class _Workers:
    """Worker processes; each has a thread that gives it one task after another."""

    def __init__(self, prepare: bytes, count: int) -> None:
        self._tasks: SimpleQueue[_Task | None] = SimpleQueue()
        self._processes = [_start_worker() for _ in range(count)]
        self._threads = [
            threading.Thread(target=_serve, args=(process, prepare, self._tasks), daemon=True)
            for process in self._processes
        ]
        for thread in self._threads:
            thread.start()
        # Also called when this object is garbage, or the interpreter ends.
        self.end = weakref.finalize(self, _end, self._processes, self._threads, self._tasks)

    def send(self, images: ImageSource, image: ImageRef) -> Future[Any]:
        """Has an image prepared by the first worker that is free."""
        future: Future[Any] = Future()
        # With the source in its present state: it may read other folders later.
        self._tasks.put((future, pickle.dumps((images, image))))
        return future


def _start_workers(prepare: Callable[[Any], Any], count: int) -> _Workers | None:
    try:
        return _Workers(pickle.dumps(prepare), count)
    except (OSError, pickle.PicklingError, AttributeError, TypeError) as error:
        log.warning("pictures are prepared in this process: no worker can be had (%s)", error)
        return None


def _start_worker() -> subprocess.Popen[bytes]:
    return start_python(
        "from riveg.vision.runtime.image_worker import main; main()",
        threads=1,  # there are as many workers as cores
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )


def _serve(
    process: subprocess.Popen[bytes], prepare: bytes, tasks: SimpleQueue[_Task | None]
) -> None:
    """Gives a worker tasks, once it has loaded what it needs, until it ends."""
    if _exchange(process, prepare) is _ENDED:
        return
    while (task := tasks.get()) is not None:
        future, message = task
        if not future.set_running_or_notify_cancel():
            continue
        result = _exchange(process, message)
        future.set_result(None if result is _ENDED else result)
        if result is _ENDED:
            return


_ENDED = object()


def _exchange(process: subprocess.Popen[bytes], message: bytes) -> Any:
    """Sends a message to a worker and reads its result; ``_ENDED`` if there is no worker."""
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(message)
        process.stdin.flush()
        return pickle.load(process.stdout)
    except Exception as error:  # it has ended, or another program answers
        log.info("a process that prepares pictures has ended (%s)", error)
        return _ENDED


def _end(
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
        # Leaving the block closes the pipes; what is still to be written has no reader any more.
        with contextlib.suppress(BrokenPipeError), process:
            pass
