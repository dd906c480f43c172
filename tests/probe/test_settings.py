"""What is probed, and lines that a system can be made of."""

from pathlib import Path
from typing import Any

import pytest

from riveg.cli.doctor import doctor
from riveg.config.reader import load_config
from riveg.errors import UserError
from riveg.probe.settings import lines_to_use, model_at, model_of_system
from riveg.probe.verdict import CANDIDATES, Candidate

URL = "http://127.0.0.1:8000/v1"
USABLE = [candidate for candidate in CANDIDATES if candidate.setting is not None]
TWO = """
name: two
llm:
  words: {model: a, base_urls: ["http://127.0.0.1:1/v1"]}
  eyes: {model: b, base_urls: ["http://127.0.0.1:2/v1"]}
tag: {backend: chat, llm: words}
"""


@pytest.mark.parametrize("candidate", USABLE, ids=lambda one: one.name)
def test_the_lines_are_a_system_whose_frame_is_the_one_that_was_found(
    candidate: Candidate, tmp_path: Path
) -> None:
    path = tmp_path / "mine.yaml"
    lines = lines_to_use(model_at(URL, "a/b: c", "RIVEG_TEST_KEY"), candidate)
    path.write_text(f"name: mine\ntag: mini\n{lines}\n")
    found = model_of_system(str(path), None)
    assert found.frames == {"ground": candidate}
    endpoint = load_config(path).llm["main"]
    assert (endpoint.model, endpoint.base_urls) == ("a/b: c", (URL,))
    assert endpoint.api_key_variable == "RIVEG_TEST_KEY"


def test_bounds_stay_in_the_lines() -> None:
    asked = model_of_system("e2e-gmner", None)
    lines = lines_to_use(asked, asked.frames["extract"])
    assert lines.endswith("resize: {multiple: 28, min_pixels: 200704, max_pixels: 802816}")
    assert lines.startswith("extract:\n")


def test_the_model_whose_boxes_are_read_is_meant(tmp_path: Path) -> None:
    path = tmp_path / "two.yaml"
    path.write_text(TWO)
    with pytest.raises(UserError, match="has 2 language models; say with --llm which: words, eyes"):
        model_of_system(str(path), None)
    assert model_of_system(str(path), "words").endpoint.model == "a"
    with pytest.raises(UserError, match=r"--llm eye: .* did you mean eyes"):
        model_of_system(str(path), "eye")
    grounds = model_of_system(str(path), None, ["ground={backend: chat, llm: eyes, frame: norm1}"])
    assert (grounds.name, [*grounds.frames]) == ("eyes", ["ground"])


def test_a_system_without_models_has_nothing_to_probe() -> None:
    with pytest.raises(UserError, match="has 0 language models; nothing to probe"):
        model_of_system("quickstart", None)


@pytest.mark.parametrize(
    ("url", "variable", "match"),
    [
        ("http://me:pw@host/v1", None, "api_key_variable names where the key is"),
        ("http://", None, "expected http://host:port/v1"),
        (URL, "sk-1234567890abcdef1234567890abcdef", "never the key itself"),
    ],
)
def test_what_is_no_server_is_one_line(url: str, variable: str | None, match: str) -> None:
    with pytest.raises(UserError, match=match) as error:
        model_at(url, "m", variable)
    assert str(error.value).startswith("--probe: llm.main.")
    assert "pw@" not in str(error.value)
    assert "sk-1" not in str(error.value)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"llm": "main"}, "belong to --probe"),
        ({"overrides": ["ground.frame=norm1"]}, "belong to --probe"),
        ({"probe": URL}, "--probe URL needs --model"),
        ({"probe": URL, "model": "m", "llm": "x"}, "belong to a system"),
        ({"probe": "one-vlm", "model": "m"}, "belong to a URL"),
        ({"probe": "one-vlmm"}, "did you mean one-vlm"),
    ],
)
def test_options_that_do_not_fit_are_one_line(given: dict[str, Any], message: str) -> None:
    none = dict.fromkeys(("probe", "llm", "model", "api_key_variable"))
    with pytest.raises(UserError, match=message) as error:
        doctor(**{**none, "overrides": [], **given})
    assert "\n" not in str(error.value)
