from __future__ import annotations

from pathlib import Path

import pytest
from helpers.contracts import check_backend
from helpers.factories import make_context, make_sample, write_records

from riveg.errors import UserError
from riveg.registry import backend_config
from riveg.stages.captioners.recorded import (
    RecordedCaptioner,
    RecordedCaptionerConfig,
    read_captions,
)
from riveg.stages.table import CAPTION
from riveg.types import ImageRef, Issue, Sample

BLIP = "7.jpg :a man : with a colon\n17_06_9.jpg :two {{ men }}\n"
OWL = "imgid:7###A man.\n\nHe waves: ### yes.\nimgid:O_1###\nimgid:8###One line.\n"


def build(base: Path, *files: str) -> RecordedCaptioner:
    config = RecordedCaptionerConfig(files=tuple(map(Path, files)))
    return config.build(make_context(base))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            BLIP, {"7": "a man : with a colon", "17_06_9": "two {{ men }}"}, id="one line"
        ),
        pytest.param(
            OWL,
            {"7": "A man.\n\nHe waves: ### yes.", "O_1": "", "8": "One line."},
            id="several lines, an empty caption",
        ),
        pytest.param(
            "7.jpg :a\r\n\r\n8.jpg :b\r\n", {"7": "a", "8": "b"}, id="Windows, blank line"
        ),
        pytest.param("", {}, id="empty file"),
    ],
)
def test_published_forms(tmp_path: Path, text: str, expected: dict[str, str]) -> None:
    path = tmp_path / "captions.txt"
    path.write_bytes(text.encode())
    assert read_captions(path) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("7.jpg :a\na man\n", ":2: no caption"),
        ("7.jpg :a\n7.jpg :b\n", ":2: a second answer for '7'"),
        ("imgid:7###a\nimgid:7###a\n", ":2: a second answer for '7'"),
    ],
)
def test_malformed_files_are_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "captions.txt"
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        read_captions(path)


def test_contract_and_lookup(tmp_path: Path) -> None:
    (tmp_path / "blip.txt").write_text(BLIP)
    write_records(tmp_path / "records.jsonl", [make_sample("a", id="r", caption="a record")])
    backend = build(tmp_path, "blip.txt", "records.jsonl")
    samples = [
        make_sample("by id", id="7"),
        make_sample("recorded", id="r"),
        make_sample("nowhere", id="absent"),
        make_sample("no picture", id="absent", has_image=False),
    ]
    named = ImageRef("folder/17_06_9.png")
    samples.append(Sample("by-picture", "x", ("x",), ((0, 1),), named))
    answers = check_backend(CAPTION, backend, samples)
    assert answers[0] == "a man : with a colon"
    assert answers[1] == "a record"
    assert isinstance(answers[2], Issue)
    assert answers[2].kind == "not-recorded"
    assert answers[3] == "", "nothing to say of no picture"
    assert answers[4] == "two {{ men }}"


def test_two_files_may_agree_but_not_contradict(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("7.jpg :same\n")
    (tmp_path / "b.txt").write_text("7.jpg :same\n8.jpg :other\n")
    (tmp_path / "c.txt").write_text("7.jpg :different\n")
    assert build(tmp_path, "a.txt", "b.txt").caption([make_sample("x", id="8")]) == ["other"]
    with pytest.raises(UserError, match="a second answer for '7'"):
        build(tmp_path, "a.txt", "c.txt")


def test_registered_with_contents(tmp_path: Path) -> None:
    assert backend_config("caption", "recorded") is RecordedCaptionerConfig
    (tmp_path / "a.txt").write_text("7.jpg :same\n")
    config = RecordedCaptionerConfig(files=(Path("a.txt"),))
    before = config.contents(tmp_path)
    (tmp_path / "a.txt").write_text("7.jpg :changed\n")
    assert config.contents(tmp_path) != before
    with pytest.raises(UserError, match="no recorded answers there"):
        build(tmp_path, "absent.txt")
