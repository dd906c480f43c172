"""``extract: recorded``: entities and regions as a file has them, or an Issue that says why not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from helpers.answers import issue_of, partial, whole
from helpers.contracts import check_backend
from helpers.factories import make_context, make_sample, write_records

from riveg.errors import UserError
from riveg.protocols import Extraction
from riveg.stages.extractors.recorded import RecordedExtractor, RecordedExtractorConfig
from riveg.stages.table import EXTRACT
from riveg.types import Box, Entailment, Issue, Mask, Region, Sample

REGIONS = (
    Region(Box(1, 2, 3, 4), 0.5, Mask(9, 8, "abc", "other"), "other"),
    Region(Box(0, 0, 3, 4)),
)


def build(base: Path) -> RecordedExtractor:
    return RecordedExtractorConfig(file=Path("r.jsonl")).build(make_context(base))


def recorded(id: str, *regions: tuple[Region, ...] | None) -> Sample:
    sample = make_sample("Bob met Ann", [(2, 3, "PER"), (0, 1, "ORG")][: len(regions)], id=id)
    entities = tuple(
        replace(entity, regions=own, score=0.5, entailment=Entailment(0.75, True, "x"))
        for entity, own in zip(sample.entities or (), regions, strict=True)
    )
    return replace(sample, entities=entities, reasoning="thought")


def test_entities_keep_all_but_their_masks(tmp_path: Path) -> None:
    written = recorded("1", REGIONS, ())
    write_records(tmp_path / "r.jsonl", [written])
    posts = [make_sample("Bob met Ann"), make_sample("Bob met Ann", id="2")]
    answer, _ = check_backend(EXTRACT, build(tmp_path), posts)
    first, second = written.entities or ()
    bare = tuple(replace(region, mask=None) for region in REGIONS)
    assert whole(answer) == Extraction((replace(first, regions=bare), second), "thought")


def test_what_lacks_is_an_issue(tmp_path: Path) -> None:
    lost = Issue("extract", None, "unaligned-entity", "'Eve' does not stand in the text")
    other = Issue("tag", None, "x", "of another stage")
    write_records(
        tmp_path / "r.jsonl",
        [
            recorded("1", None),
            replace(recorded("2", ()), issues=(lost, other)),
            replace(recorded("3"), entities=None, issues=(lost,)),
            replace(recorded("4"), entities=None),
            make_sample("Bob met Eve", id="5"),
        ],
    )
    samples = [make_sample("Bob met Ann", id=id) for id in "123456"]
    first, second, *others = check_backend(EXTRACT, build(tmp_path), samples)
    assert [issue.kind for issue in partial(first).issues] == ["not-recorded"]
    assert "no regions recorded for 'Ann'" in partial(first).issues[0].message
    assert partial(second).issues == (lost,)
    assert [issue_of(answer).kind for answer in others] == [
        "unaligned-entity",
        "not-recorded",
        "token-mismatch",
        "not-recorded",
    ]
    assert "token 2 is 'Eve' there and 'Ann' here" in issue_of(others[2]).message


def test_two_entities_with_one_id_are_refused(tmp_path: Path) -> None:
    both = recorded("1", (), ())
    twins = tuple(replace(entity, id="e0") for entity in both.entities or ())
    write_records(tmp_path / "r.jsonl", [replace(both, entities=twins)])
    with pytest.raises(UserError, match=r"r\.jsonl:1: two entities of '1' have the id 'e0'"):
        build(tmp_path)


def test_what_the_file_says_counts_and_not_where_it_lies(tmp_path: Path) -> None:
    for name in ("r.jsonl", "moved.jsonl"):
        write_records(tmp_path / name, [recorded("1", ())])
    here = RecordedExtractorConfig(file=Path("r.jsonl"))
    moved = RecordedExtractorConfig(file=Path("moved.jsonl"))
    assert here.contents(tmp_path) == moved.contents(tmp_path)
    write_records(tmp_path / "r.jsonl", [recorded("1", REGIONS)])
    assert here.contents(tmp_path) != moved.contents(tmp_path)


def test_without_a_file_one_line_says_what_to_do(tmp_path: Path) -> None:
    config = RecordedExtractorConfig()
    with pytest.raises(UserError, match=r"extract\.file: no predictions are named; .*--from FILE"):
        config.build(make_context(tmp_path))
    with pytest.raises(UserError, match="no predictions are named"):
        config.contents(tmp_path)
