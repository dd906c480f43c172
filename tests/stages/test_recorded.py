"""Answers of entity-wise stages from another run's records, joined by sample, entity and span."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from helpers.answers import issue_of
from helpers.contracts import check_backend
from helpers.factories import make_context, make_sample, mentions_of, write_records

from riveg.config.backend import BackendConfig
from riveg.errors import UserError
from riveg.pipeline import AnyStage
from riveg.registry import backend_config
from riveg.stages.table import ENTAIL, GROUND, REWRITE
from riveg.types import Box, Entailment, Expression, Mask, Region

NOW = [
    make_sample("Eileen Collins at NASA", [(0, 2, "PER"), (3, 4, "ORG")], id="1"),
    make_sample("Hello Texas", [(1, 2, "LOC")], id="2"),
    make_sample("Jaws", [(0, 1, "OTHER")], id="3"),
]
"""The samples as the other stages see them today."""

REGIONS = (
    Region(Box(1, 2, 3, 4), 0.5, Mask(9, 8, "abc", "other"), "other"),
    Region(Box(0, 0, 3, 4)),
)

CASES: list[tuple[AnyStage, dict[str, Any], object]] = [
    (ENTAIL, {"entailment": Entailment(0.25, False, "other")}, Entailment(0.25, False, "other")),
    (
        REWRITE,
        {"expression": "an astronaut", "description": "d", "expression_source": "other"},
        Expression("an astronaut", "d", "other"),
    ),
    (GROUND, {"regions": REGIONS}, REGIONS),
    (GROUND, {"regions": ()}, ()),  # nothing there was an answer too
]
"""Stage, the fields in which a record holds its answer, the answer."""

STAGES = pytest.mark.parametrize("stage", [ENTAIL, REWRITE, GROUND], ids=lambda stage: stage.name)


def config_of(stage: AnyStage) -> BackendConfig[object]:
    return backend_config(stage.name, "recorded").model_validate({"file": Path("r.jsonl")})


def build(stage: AnyStage, base: Path) -> object:
    return config_of(stage).build(make_context(base))


@pytest.mark.parametrize(("stage", "fields", "answer"), CASES)
def test_contract_and_join(
    tmp_path: Path, stage: AnyStage, fields: dict[str, Any], answer: object
) -> None:
    first, second = NOW[0].entities or ()
    other = make_sample("Hello Texas", [(0, 1, "LOC")], id="2")
    recorded = replace(NOW[0], entities=(replace(first, **fields), second))
    write_records(tmp_path / "r.jsonl", [other, recorded])
    answers = check_backend(stage, build(stage, tmp_path), mentions_of(*NOW))
    assert answers[0] == answer
    issues = [issue_of(answer) for answer in answers[1:]]
    assert all(issue.kind == "not-recorded" for issue in issues)
    assert [issue.entity_id for issue in issues] == ["e1", "e0", "e0"]
    assert "the recorded entity has no" in issues[0].message
    assert "tokens [1, 2) here and [0, 1) in the record" in issues[1].message
    assert "no record of sample '3'" in issues[2].message


@STAGES
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"not json\n", r"r.jsonl:1: not a Sample"),
        (b'{"id":"1","text":"","tokens":[],"offsets":[],"colour":1}\n', r"r.jsonl:1: .*colour"),
    ],
)
def test_a_file_of_something_else_is_refused(
    tmp_path: Path, stage: AnyStage, content: bytes, message: str
) -> None:
    (tmp_path / "r.jsonl").write_bytes(content)
    with pytest.raises(UserError, match=message):
        build(stage, tmp_path)


@STAGES
def test_one_id_twice_is_refused(tmp_path: Path, stage: AnyStage) -> None:
    write_records(tmp_path / "r.jsonl", [NOW[0], NOW[0]])
    with pytest.raises(UserError, match=r"r.jsonl:2: a second answer for '1'"):
        build(stage, tmp_path)


@STAGES
def test_the_file_is_part_of_the_fingerprint(tmp_path: Path, stage: AnyStage) -> None:
    config = config_of(stage)
    write_records(tmp_path / "r.jsonl", NOW)
    before = config.contents(tmp_path)
    write_records(tmp_path / "r.jsonl", NOW[:1])
    assert config.contents(tmp_path) != before
