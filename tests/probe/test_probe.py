"""Probes of a server that looks at the drawings it is sent, and answers in a frame of its own."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import yaml
from helpers.command_line import riveg
from helpers.fault_server import free_port
from helpers.seeing_server import seeing_server

from riveg.cli.probe_sheet import print_probe
from riveg.errors import ServerGone, UserError
from riveg.probe.probe import ProbeReport, probe
from riveg.probe.settings import lines_to_use, model_at, model_of_system
from riveg.probe.verdict import Candidate

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with seeing_server() as running:
        yield running


@cache
def probed(url: str, model: str) -> ProbeReport:
    asked = model_at(url, model)
    return probe(asked.name, asked.endpoint, asked.candidates, lambda _: None)


def the_frame(report: ProbeReport) -> Candidate:
    (candidate,) = report.frames.alike
    return candidate


@pytest.mark.parametrize(
    ("model", "name", "lines"),
    [
        ("pixels", "pixels as sent", {"frame": "pixels-sent", "resize": {"multiple": 1}}),
        (
            "resized-28",
            "pixels, resized by 28",
            {"frame": "pixels-sent", "resize": {"multiple": 28}},
        ),
        (
            "resized-32",
            "pixels, resized by 32",
            {"frame": "pixels-sent", "resize": {"multiple": 32}},
        ),
        ("upto-1000", "0 to 1000", {"frame": "norm1000"}),
        ("upto-1000+swapped", "0 to 1000, y first", {"frame": "norm1000-yx"}),
        ("upto-1", "0 to 1", {"frame": "norm1"}),
    ],
)
def test_each_frame_is_found_and_the_stage_then_reads_its_boxes(
    url: str, model: str, name: str, lines: dict[str, object]
) -> None:
    report = probed(url, model)
    assert (report.colours, report.sees) == ((8, 8), True)
    assert (the_frame(report).name, report.unanswered) == (name, {})
    best = report.frames.fits[0]
    assert best.mean_iou > 0.95
    assert best.corner_error is not None
    assert best.corner_error < 1.5
    assert report.told is not None
    assert (report.told.found, report.told.asked) == (18, 18)
    assert report.told.mean_iou > 0.95
    said = yaml.safe_load(lines_to_use(model_at(url, model), the_frame(report)))
    assert said == {
        "llm": {"main": {"model": model, "base_urls": [url]}},
        "ground": {"backend": "chat", "llm": "main", **lines},
    }


def test_swapped_pixels_are_told_and_read_by_no_stage(url: str) -> None:
    report = probed(url, "pixels+swapped")
    assert the_frame(report).name == "pixels as sent, y first"
    assert (the_frame(report).setting, report.told) == (None, None)


def test_a_model_that_sees_nothing_is_found_out(url: str) -> None:
    report = probed(url, "pixels+blind+no-logprobs")
    assert (report.colours, report.sees) == ((1, 8), False)
    assert (report.frames.alike, report.frames.has_own_ends, report.told) == ((), False, None)
    assert {scene.tokens for scene in report.seen} == {0}
    assert not any(scene.reads_word for scene in report.seen)
    assert sum(len(scene.stated) for scene in report.seen) == 18


def test_what_the_server_gives_beside_the_words(url: str) -> None:
    gives = probed(url, "upto-1000")
    assert (gives.first_tokens, gives.all_tokens, gives.schema) == (True, True, "kept")
    assert [scene.tokens for scene in gives.seen] == [391, 390, 100, 174, 128, 128]
    lacks = probed(url, "upto-1000+no-logprobs+breaks-schema+no-usage")
    assert (lacks.first_tokens, lacks.all_tokens, lacks.schema) == (False, False, "not-kept")
    assert {scene.tokens for scene in lacks.seen} == {None}
    assert the_frame(lacks) == the_frame(gives)  # Qwen's list in a fence is read all the same


def test_things_without_a_box_are_counted(url: str) -> None:
    report = probed(url, "upto-1000+shy")
    assert [len(scene.stated) for scene in report.seen] == [2] * 6
    assert the_frame(report).name == "0 to 1000"
    assert report.told is not None
    assert report.told.found == 12
    assert report.told.mean_iou == pytest.approx(report.frames.fits[0].mean_iou * 12 / 18, abs=0.01)


def test_bounds_of_the_server_are_no_frame(url: str) -> None:
    report = probed(url, "resized-28+enlarged")
    assert (report.frames.alike, report.frames.has_own_ends) == ((), True)


def test_a_server_that_takes_no_pictures_is_one_line(url: str) -> None:
    with pytest.raises(
        UserError, match=r"llm main: words are answered, a picture is not.*400"
    ) as error:
        probed(url, "text-only")
    assert "\n" not in str(error.value)


def test_a_server_that_wants_a_key_or_is_down_is_one_line() -> None:
    with (
        seeing_server("--key", "s3cret-of-this-server") as closed,
        pytest.raises(UserError, match=r"401.*api_key_variable") as error,
    ):
        probed(closed, "pixels")
    assert "\n" not in str(error.value)
    with pytest.raises(ServerGone, match="cannot be reached"):
        probed(f"http://127.0.0.1:{free_port()}/v1", "pixels")


def test_a_server_that_refuses_fields_is_asked_without_them() -> None:
    with seeing_server("--refuse", "response_format", "logprobs", "top_logprobs") as strict:
        report = probed(strict, "resized-28")
    assert (report.first_tokens, report.all_tokens, report.schema) == (False, False, "not-kept")
    assert the_frame(report).name == "pixels, resized by 28"


def test_all_of_it_is_printed_in_80_columns(
    url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    printed = {}
    for model in ("pixels+swapped", "pixels+blind+no-logprobs", "resized-28+enlarged"):
        print_probe(model_at(url, model), probed(url, model))
        printed[model] = capsys.readouterr().out
        assert max(map(len, printed[model].splitlines())) <= 80
        assert "…" not in printed[model]
        assert "lines to use" not in printed[model]
    swapped, blind, enlarged = printed.values()
    assert "pixels as sent, y first" in swapped
    last = " ".join(swapped.splitlines()[-2].split())
    assert last == "900 x 100 128 read 3 of 3 1.00 900 x 100"
    assert "no stage of riveg reads these" in " ".join(swapped.split())
    assert "sees pictures       NO: 1 of 8 colours named" in blind
    assert "NONE: the server leaves the picture out" in blind
    assert "entail: chat has its words alone to go by" in blind
    assert "give resize.min_pixels and max_pixels" in " ".join(enlarged.split())
    assert "896 x 671" in enlarged


def test_where_two_frames_fit_alike_both_are_offered(
    url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    model = "pixels+vague"
    report = probed(url, model)
    assert len(report.frames.alike) > 1
    assert "pixels as sent" in {candidate.name for candidate in report.frames.alike}
    print_probe(model_at(url, model), report)
    out = capsys.readouterr().out
    assert "cannot tell: pixels as sent or pixels, resized by" in " ".join(out.split())
    assert out.count("resize: {multiple: ") == len(report.frames.alike)


@pytest.mark.slow
def test_the_command_says_what_a_system_should_hold(url: str, tmp_path: Path) -> None:
    where = ("--set", "llm.main.serve=null", "--set", f"llm.main.base_urls=[{url}]")
    system = ("doctor", "--probe", "one-vlm", *where)
    wrong = riveg(*system, "--set", "llm.main.model=resized-28", cwd=tmp_path)
    assert wrong.returncode == 0, wrong.stderr
    assert "ground.frame        WRONG: 0 to 1000, mean IoU 0." in wrong.stdout
    assert wrong.stdout.endswith(
        "ground:\n  backend: chat\n  llm: main\n  frame: pixels-sent\n  resize: {multiple: 28}\n"
    )
    refused = riveg(*system, "--set", "llm.main.model=text-only", cwd=tmp_path)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "a picture is not" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not [*tmp_path.iterdir()]  # nothing is written


def test_the_frame_that_a_system_says_is_looked_for_with_its_bounds() -> None:
    asked = model_of_system("e2e-gmner", None)
    assert asked.frames["extract"].name == "pixels, resized by 28, from 200704, up to 802816"
    assert asked.candidates[0] == asked.frames["extract"]


def test_the_frame_that_a_system_says_is_confirmed(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    overrides = ["llm.main.serve=null", f"llm.main.base_urls=[{url}]", "llm.main.model=upto-1000"]
    asked = model_of_system("one-vlm", "main", overrides)
    print_probe(asked, probe(asked.name, asked.endpoint, asked.candidates, lambda _: None))
    assert "ground.frame        right: 0 to 1000\n" in capsys.readouterr().out
