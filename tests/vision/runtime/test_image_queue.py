"""Images prepared by other processes: the same as here, whatever becomes of those."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.marked_processes import command_of, end_marked, gone_within, marked_processes
from helpers.odd_images import SIDES, save_odd_images
from helpers.places import ROOT

from riveg.errors import ImageFault
from riveg.images.headers import ImageLimits
from riveg.images.loader import ImageLoader
from riveg.types import ImageRef, ImageSize
from riveg.vision.runtime import image_queue
from riveg.vision.runtime.image_queue import PreparedImageQueue

pytestmark = pytest.mark.slow  # every test starts processes


BROKEN = {
    "cut.jpg": "truncated-image",
    "text.png": "not-an-image",
    "gone.png": "missing-image",
    "../out.png": "outside-root",
}


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> ImageLoader:
    folder = save_odd_images(tmp_path_factory.mktemp("pictures"))
    whole = (folder / "turned.jpg").read_bytes()
    (folder / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "text.png").write_text("no picture")
    return ImageLoader([folder], limits=ImageLimits(min_side=1))


REFERENCES = [ImageRef(name) for name in [*SIDES, *BROKEN]]

raised: Any = partial(np.add, 0.5)
"""A preparation that worker processes know."""


@contextmanager
def prepared_by(
    images: ImageLoader, workers: int, **more: Any
) -> Iterator[PreparedImageQueue[Any]]:
    queue = PreparedImageQueue(images, more.pop("prepare", raised), workers=workers, **more)
    try:
        yield queue
    finally:
        queue.close()


def workers_of(process: int) -> list[int]:
    children = Path(f"/proc/{process}/task").glob("*/children")
    found = [int(number) for path in children for number in path.read_text().split()]
    return [number for number in found if b"image_worker" in command_of(number)]


def wait_for_workers(queue: PreparedImageQueue[Any], count: int) -> None:
    """Returns when one has answered, so that all are at least on their way."""
    queue.expect(REFERENCES)
    deadline = time.monotonic() + 60
    while not any(sent.future.done() for sent in queue._sent):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert len(workers_of(os.getpid())) == count


def same(found: Any, expected: Any) -> bool:
    return found.size == expected.size and np.array_equal(found.value, expected.value)


def test_workers_give_what_this_process_gives(images: ImageLoader) -> None:
    with prepared_by(images, 0) as alone, prepared_by(images, 2) as helped:
        expected = alone.take_distinct(REFERENCES)
        wait_for_workers(helped, 2)
        for _ in range(2):  # expected, and then on the spot
            found = helped.take_distinct([None, *REFERENCES, *REFERENCES])
            assert list(found) == list(expected)
            for name, one in expected.items():
                other = found[name]
                if isinstance(one, ImageFault):
                    assert isinstance(other, ImageFault)
                    assert (other.kind, str(other)) == (BROKEN[name], str(one))
                else:
                    assert same(other, one)


def test_sides_are_known_without_opening_an_image_twice(images: ImageLoader) -> None:
    with prepared_by(images, 1) as queue:
        wait_for_workers(queue, 1)
        for image in REFERENCES:
            if image.path in BROKEN:
                with pytest.raises(ImageFault):
                    queue.probe(image)
            else:
                assert queue.probe(image) == images.probe(image)
        held = [sent.image for sent in queue._sent]
        assert held == [image for image in REFERENCES if image.path not in BROKEN]


def test_no_more_is_held_than_was_said(images: ImageLoader) -> None:
    many = [ImageRef("odd.png")] * 20
    with prepared_by(images, 1, ahead=4) as queue:
        queue.expect(many)
        for image in many:
            assert len(queue._sent) <= 4
            queue.take(image)
        assert not queue._sent
        queue.expect(REFERENCES)
        assert queue.take(ImageRef("turned.jpg")).size == ImageSize(80, 48)  # the sixth of them


def test_without_anything_ahead_no_process_is_started(images: ImageLoader) -> None:
    with prepared_by(images, 2) as queue:
        queue.take(REFERENCES[0])
        queue.expect(REFERENCES[:1])
        assert queue.take(REFERENCES[0]).size == ImageSize(97, 61)
        assert workers_of(os.getpid()) == []


def test_killed_workers_are_done_without(images: ImageLoader) -> None:
    with prepared_by(images, 0) as alone, prepared_by(images, 2) as queue:
        wait_for_workers(queue, 2)
        for number in workers_of(os.getpid()):
            os.kill(number, signal.SIGKILL)
        for _ in range(2):
            queue.expect(REFERENCES[:6])
            assert all(same(queue.take(one), alone.take(one)) for one in REFERENCES[:6])


def test_what_a_worker_hangs_at_is_prepared_here(
    images: ImageLoader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_queue, "_PATIENCE_SECONDS", 0.2)
    with prepared_by(images, 0) as alone, prepared_by(images, 1) as queue:
        wait_for_workers(queue, 1)
        os.kill(workers_of(os.getpid())[0], signal.SIGSTOP)
        for _ in range(2):
            queue.expect(REFERENCES[:6])
            time.sleep(0.2)  # the worker's thread has then begun with one, at the first time
            assert all(same(queue.take(one), alone.take(one)) for one in REFERENCES[:6])


def test_what_is_asked_for_again_brings_nothing_of_much_later(images: ImageLoader) -> None:
    many = [*[ImageRef("odd.png")] * 20, ImageRef("square.png")]
    with prepared_by(images, 1, ahead=4) as queue:
        queue.expect(many)
        assert queue.take(many[-1]).size == ImageSize(64, 64)
        assert len(queue._sent) == 4


def test_what_cannot_be_sent_is_prepared_here(images: ImageLoader) -> None:
    for prepare in (lambda image: image / 2, _not_there):
        with prepared_by(images, 1, prepare=prepare) as queue:
            queue.expect(REFERENCES[:6])
            assert [queue.take(one).size for one in REFERENCES[:2]] == [(97, 61), (64, 64)]


def _not_there(pixels: Any) -> Any:
    """A worker cannot import this module."""
    return pixels / 2


def test_tensors_come_back_as_they_are(images: ImageLoader) -> None:
    torch = pytest.importorskip("torch")
    with prepared_by(images, 1, prepare=torch.tensor) as queue:
        wait_for_workers(queue, 1)
        found = queue.take(REFERENCES[0]).value
    assert torch.equal(found, torch.tensor(images.load(REFERENCES[0])))


def test_none_is_left_after_closing_or_forgetting(images: ImageLoader) -> None:
    queue = PreparedImageQueue(images, raised, workers=2)
    for end in (queue.close, partial(queue.__dict__.__setitem__, "_workers", None)):
        wait_for_workers(queue, 2)
        numbers = workers_of(os.getpid())
        end()
        assert gone_within(numbers, 5)


SCRIPT = """
import sys, time
from functools import partial
import numpy as np
from riveg.images.loader import ImageLoader
from riveg.vision.runtime.image_queue import PreparedImageQueue
from riveg.types import ImageRef

queue = PreparedImageQueue(ImageLoader([sys.argv[1]]), partial(np.add, 0.5), workers=2)
while True:
    queue.expect([ImageRef("odd.png")] * 40)
    while any(not sent.future.done() for sent in queue._sent):
        time.sleep(0.01)
    print("ready", flush=True)
    time.sleep(float(sys.argv[2]))
"""
"""Without a guard of ``__main__``, as users write them."""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
@pytest.mark.parametrize("pause", ["30", "0"])
def test_none_outlives_the_process_that_asks(
    images: ImageLoader, tmp_path: Path, number: signal.Signals, pause: str
) -> None:
    marker = f"RIVEG_TEST={tmp_path}"
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    process = subprocess.Popen(
        [sys.executable, script, images.locate("odd.png").parent, pause],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT), "RIVEG_TEST": str(tmp_path)},
        preexec_fn=partial(  # noqa: PLW1509 - no thread is there that could hold a lock
            signal.signal, signal.SIGINT, signal.default_int_handler
        ),
    )
    try:
        with process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            workers = [one for one in marked_processes(marker) if one != process.pid]
            assert len(workers) == 2
            process.send_signal(number)
            assert process.stderr is not None
            said = process.stderr.read()
        assert gone_within(workers, 10)
        assert said.count(b"Traceback") <= 1  # of the script itself, where it was interrupted
    finally:
        end_marked(marker)
