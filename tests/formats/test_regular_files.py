"""Files of users are regular ones: nothing waits for a pipe or reads a device without end."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.places import ROOT

from riveg.config.calibrated import read_artifact
from riveg.config.reader import load_config
from riveg.datasets.encoding import open_utf_8
from riveg.datasets.mask_json import read_mask_json
from riveg.datasets.opening import open_dataset
from riveg.datasets.voc import read_voc
from riveg.errors import ImageFault, UserError
from riveg.files import file_digest, open_regular, read_regular
from riveg.formats.captions import read_captions
from riveg.formats.lines import numbered_lines
from riveg.images.loader import ImageLoader
from riveg.llm.prompts import load_prompt
from riveg.nn.box_prior import read_box_priors
from riveg.nn.entailment_classifier import read_classifier
from riveg.runs.reading import read_record_lines
from riveg.stages.augmenters.similar_examples import read_pool
from riveg.types import ImageRef


@pytest.fixture(autouse=True)
def _no_waiting() -> Iterator[None]:
    """A call that waits for a pipe fails and does not stop the tests."""

    def fail(*_: object) -> None:
        raise AssertionError("it waits")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


READERS: tuple[Callable[[Path], Any], ...] = (
    open_regular,
    read_regular,
    file_digest,
    open_utf_8,
    read_artifact,
    load_config,
    open_dataset,
    read_box_priors,
    read_classifier,
    read_pool,
    lambda path: [*numbered_lines(path)],
    lambda path: [*read_captions(path, is_mixed=False)],
    lambda path: [*read_record_lines(path)],
    lambda path: load_prompt(str(path)),
    lambda path: ImageLoader([path.parent]).load(ImageRef(path.name)),
)


def pipe(folder: Path) -> Path:
    path = folder / "a.yaml"
    os.mkfifo(path)
    return path


def device(_: Path) -> Path:
    return Path("/dev/zero")


@pytest.mark.parametrize("place", [pipe, device])
@pytest.mark.parametrize("read", READERS)
def test_a_pipe_and_a_device_are_refused(
    tmp_path: Path, place: Callable[[Path], Path], read: Callable[[Path], Any]
) -> None:
    with pytest.raises((UserError, OSError, ImageFault)) as error:
        read(place(tmp_path))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("read", [read_voc, read_mask_json])
def test_a_pipe_among_annotations_is_a_defect(tmp_path: Path, read: Callable[[Path], Any]) -> None:
    (defect,) = read(pipe(tmp_path)).defects
    assert "no regular file" in defect.message


def test_a_link_to_a_file_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    (tmp_path / "b").symlink_to("a")
    assert read_regular(tmp_path / "b") == b"x"


def test_a_file_that_is_read_whole_has_a_limit(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    with pytest.raises(OSError, match="larger than 4 bytes"):
        read_regular(tmp_path / "a", most_bytes=4)


OWN_FILES = {
    "report/builder.py": "pages of riveg",
    "prompt_debug/builder.py": "pages of riveg",
    "cli/train.py": "what the command has just written",
    "training/checkpoints.py": "marks of riveg's own checkpoints",
    "training/training.py": "settings and logs of riveg's own trainings",
    "config/threads.py": "what the kernel says of control groups",
    "checkpoints/wheel_models.py": "a model that riveg has just downloaded, and its licence",
    "llm/local_server.py": "the log of a server that riveg has started",
    "llm/server_log.py": "the log of a server that riveg has started",
    "llm/refusal_sentences.py": "words that come with riveg",
    "exports/parquet.py": "an image that has just been opened",
    "exports/voc.py": "what the export has written",
}
"""Modules that read files in another way, and which."""

_READS = re.compile(r"""\.read_(bytes|text)\(|\.open\(("rb"|encoding=|\))""")


def test_files_are_opened_in_one_place() -> None:
    found = {
        str(path.relative_to(ROOT / "riveg"))
        for path in (ROOT / "riveg").rglob("*.py")
        if _READS.search(re.sub(r"def \w+\(", "", path.read_text(encoding="utf-8")))
    }
    own = {name for name in found if not name.startswith("assets/")}
    assert own - {"runs/dry_run.py"} == OWN_FILES.keys()
