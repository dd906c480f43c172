"""A process that prepares images for another one: questions on stdin, answers on stdout.

Started by :mod:`riveg.vision.runtime.image_queue`. It ends when the process that asks has ended, in
whatever way: the pipe is closed then.
"""

from __future__ import annotations

import os
import pickle
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import IO, Any, Generic, TypeVar

from riveg.protocols import ImageSource
from riveg.types import ImageRef

T = TypeVar("T")

ALONE: Mapping[str, str] = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "OPENCV_FOR_THREADS_NUM": "1",
    "CUDA_VISIBLE_DEVICES": "",
}
"""Environment of a worker: one thread, for there are as many workers as cores, and no GPU."""


@dataclass(frozen=True, slots=True)
class Prepared(Generic[T]):
    """What was made of an image, and its height and width, upright."""

    size: tuple[int, int]
    value: T


def prepared(images: ImageSource, image: ImageRef, prepare: Callable[[Any], T]) -> Prepared[T]:
    """An image, opened and prepared.

    Raises:
        ImageFault: If it cannot be used.
    """
    pixels = images.load(image)
    return Prepared((pixels.shape[0], pixels.shape[1]), prepare(pixels))


class _Pickler(pickle.Pickler):
    """Sends tensors as arrays, which takes a third of the time."""

    def reducer_override(self, found: Any) -> Any:
        torch = sys.modules.get("torch")
        if torch is not None and type(found) is torch.Tensor:
            return torch.from_numpy, (found.numpy(),)
        return NotImplemented


def main() -> None:
    """Answers until there are no more questions."""
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print must not end up among the answers
    try:
        _answer_all(sys.stdin.buffer, answers)
    except (EOFError, OSError):  # nobody asks, or nobody listens, any more
        os._exit(0)


def _end_with(parent: int) -> None:
    """Ends this process after its parent also while it loads libraries, which takes seconds."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(0)


def _answer_all(questions: IO[bytes], answers: IO[bytes]) -> None:
    prepare = pickle.load(questions)
    _send(None, answers)
    while True:
        images, image = pickle.load(questions)
        try:
            answer = prepared(images, image, prepare)
        except Exception:  # whoever asked meets it again, where it belongs
            answer = None
        _send(answer, answers)


def _send(answer: object, answers: IO[bytes]) -> None:
    _Pickler(answers, protocol=5).dump(answer)
    answers.flush()


if __name__ == "__main__":
    main()
