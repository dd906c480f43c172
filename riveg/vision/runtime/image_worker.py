"""A process that prepares images for another one: tasks on stdin, results on stdout.

Started by :mod:`riveg.vision.runtime.image_queue`. It ends when the process that started it has
ended, in whatever way: the pipe is closed then.
"""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Any, Generic, TypeVar

from riveg.processes import end_with_parent
from riveg.protocols import ImageSource
from riveg.types import ImageRef, ImageSize

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PreparedImage(Generic[T]):
    """The network's input made of an image, and the size of the upright image."""

    size: ImageSize
    value: T


def prepare_image(
    images: ImageSource, image: ImageRef, prepare: Callable[[Any], T]
) -> PreparedImage[T]:
    """Opens an image and makes the network's input of it.

    Raises:
        ImageFault: If the image cannot be used.
    """
    pixels = images.load(image)
    height, width = pixels.shape[:2]
    return PreparedImage(ImageSize(width, height), prepare(pixels))


class _Pickler(pickle.Pickler):
    """Sends tensors as arrays, which takes a third of the time."""

    def reducer_override(self, value: Any) -> Any:
        torch = sys.modules.get("torch")
        if torch is not None and type(value) is torch.Tensor:
            return torch.from_numpy, (value.numpy(),)
        return NotImplemented


def main() -> None:
    """Works until there are no more tasks."""
    end_with_parent()
    results = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print must not get among the results
    try:
        _serve(sys.stdin.buffer, results)
    except (EOFError, OSError):  # the other process has ended
        os._exit(0)


def _serve(tasks: IO[bytes], results: IO[bytes]) -> None:
    prepare = pickle.load(tasks)
    _send(None, results)
    while True:
        images, image = pickle.load(tasks)
        try:
            result = prepare_image(images, image, prepare)
        except Exception:  # it is raised again where the other process prepares the image itself
            result = None
        _send(result, results)


def _send(result: object, results: IO[bytes]) -> None:
    _Pickler(results, protocol=5).dump(result)
    results.flush()


if __name__ == "__main__":
    main()
