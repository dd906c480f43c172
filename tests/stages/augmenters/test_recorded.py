from __future__ import annotations

from pathlib import Path

from helpers.contracts import check_backend
from helpers.factories import make_context, make_sample, write_records

from riveg.registry import backend_config
from riveg.stages.augmenters.recorded import RecordedAugmenterConfig
from riveg.stages.table import AUGMENT
from riveg.types import Issue


def test_contract(tmp_path: Path) -> None:
    assert backend_config("augment", "recorded") is RecordedAugmenterConfig
    write_records(
        tmp_path / "records.jsonl",
        [make_sample("a", id="1", knowledge="It says {{ a }}."), make_sample("b", id="2")],
    )
    backend = RecordedAugmenterConfig(file=Path()).build(make_context(tmp_path))
    samples = [make_sample("a", id=name) for name in ("3", "1", "2")]
    missing, found, unanswered = check_backend(AUGMENT, backend, samples)
    assert found == "It says {{ a }}."
    for issue in (missing, unanswered):
        assert isinstance(issue, Issue)
        assert issue.kind == "not-recorded"


def test_contents_follow_the_file(tmp_path: Path) -> None:
    config = RecordedAugmenterConfig(file=Path("r.jsonl"))
    write_records(tmp_path / "r.jsonl", [make_sample("a", knowledge="one")])
    before = config.contents(tmp_path)
    write_records(tmp_path / "r.jsonl", [make_sample("a", knowledge="two")])
    assert config.contents(tmp_path) != before
