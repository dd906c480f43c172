"""Manifests, part headers and settings of run folders that somebody else has written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riveg.errors import UserError
from riveg.evaluation.reruns import run_settings
from riveg.formats.json_files import MOST_NESTED, parse_json
from riveg.formats.manifest import checked_manifest
from riveg.formats.run_records import read_manifest
from riveg.runs.folder import StageFolder

WHOLE: dict[str, Any] = {
    "schema": 1,
    "system": "quickstart",
    "data": "posts",
    "origin": ["posts.csv"],
    "samples": 3,
    "limit": None,
    "stages": {"tag": {"backend": "mini", "fingerprint": "ab", "contents": {"a": "b"}}},
    "image_roots": ["/images"],
    "seconds": {"tag": 1},
    "finished": 1.5,
}

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


def test_a_manifest_stays_as_it_stands_in_its_file() -> None:
    assert checked_manifest(WHOLE, "m") == WHOLE


def test_a_schema_is_told() -> None:
    with pytest.raises(UserError, match=r"^m: is of schema None, this riveg reads 1 to 3"):
        checked_manifest({key: one for key, one in WHOLE.items() if key != "schema"}, "m")


@pytest.mark.parametrize("schema", [99, "1", None, True, 1.0])
def test_another_schema_is_refused(schema: object) -> None:
    with pytest.raises(UserError, match=r"^m: is of schema .*, this riveg reads 1 to 3"):
        checked_manifest({**WHOLE, "schema": schema}, "m")


@given(st.sampled_from(sorted(WHOLE)), VALUES)
def test_a_key_of_another_form_is_one_line(key: str, value: object) -> None:
    try:
        manifest = checked_manifest({**WHOLE, key: value}, "m")
    except UserError as error:
        manifest = {"stages": {}}
        lines = str(error).splitlines()
        assert len(lines) == 1
    assert all(stage["backend"] for stage in manifest["stages"].values())


@pytest.mark.parametrize("name", ["../../x", "a/b", "", ".."])
def test_a_stage_is_no_path(name: str) -> None:
    with pytest.raises(UserError, match="no name of a stage"):
        checked_manifest({**WHOLE, "stages": {name: {"backend": "mini"}}}, "m")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[" * 100_000, "nested too deeply"),
        ('{"samples":' * (MOST_NESTED + 1) + "1" + "}" * (MOST_NESTED + 1), "nested more than"),
        ('{"samples": 1' + "0" * 400 + "}", "more than 308 digits"),
        ('{"schema": 1, "samples": 1e400}', "samples"),
        ('{"schema": 1, "samples": 1, "finished": Infinity}', "finished"),
        ('{"schema": 1, "samples": -1}', "samples"),
        ("[1]", "is no manifest"),
        ('{"schema": 1, "samples": "\\ud800"}', "samples"),
    ],
)
def test_a_hostile_manifest_is_one_line(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(UserError, match=reason) as error:
        read_manifest(tmp_path)
    assert "\n" not in str(error.value)


def test_nesting_up_to_the_limit_is_read() -> None:
    deepest = "[" * MOST_NESTED + "]" * MOST_NESTED
    assert json.dumps(parse_json(deepest)) == deepest


@pytest.mark.parametrize(
    "header",
    ["[" * 100_000, '{"schema": 1}', '{"schema":1,"stage":"tag","fingerprint":1,"inputs":1}', ""],
)
def test_a_damaged_header_is_no_part(tmp_path: Path, header: str) -> None:
    (tmp_path / "part-00000.jsonl").write_text(header + "\n{}\n")
    assert StageFolder(tmp_path, "tag").read(0) is None


def test_a_part_that_is_a_folder_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "part-00000.jsonl").mkdir()
    with pytest.raises(UserError, match=r"part-00000\.jsonl: cannot be read"):
        StageFolder(tmp_path, "tag").read(0)


@pytest.mark.parametrize(
    "text",
    [
        "entail: [" + "[" * 3000,
        "entail: &a [1]\nground: *a",
        "entail: 5",
        "entail: {backend: mini, threshold: .inf}",
        "entail: {backend: mini, threshold: [1]}",
        "ground: {backend: evidence, recheck: {matcher: 5}}",
        "- a",
        "",
    ],
)
def test_settings_of_another_form_are_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(UserError, match=r"config\.yaml") as error:
        run_settings(tmp_path)
    assert "\n" not in str(error.value)
