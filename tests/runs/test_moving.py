"""A change redoes what reads it, and the rest is what a run from the beginning gives."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from riveg.config.reader import load_config
from riveg.datasets.opening import open_dataset
from riveg.files import shipped
from riveg.formats.records import decode
from riveg.runs.folder import PartHeader, RunFolder
from riveg.runs.moving import digest_of_reads, moved
from riveg.runs.run import RunReport
from riveg.runs.sources import Samples
from riveg.runs.system import System
from riveg.types import Box, Entailment, Entity, ImageRef, Issue, Region, Sample, Span

QUICK = ("observe.lettering=never", "run.part_size=2", "run.overlays=0")

POSTS = [replace(one, caption="a woman in orange") for one in open_dataset("quickstart").samples()]


def posts(change: Callable[[Sample], Sample] = lambda one: one) -> Samples:
    images = shipped("data", "quickstart", "images")
    return Samples("posts", (images,), lambda: map(change, POSTS[:3]), origin=("posts",))


def run(out: Path, data: Samples, *overrides: str) -> RunReport:
    with System(load_config("quickstart", [*QUICK, *overrides])) as system:
        return system.run(data, out=out)


def made(report: RunReport) -> dict[str, int]:
    return {stage.stage: stage.made for stage in report.stages}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("moving") / "run"
    run(folder, posts())
    return folder


def copy_of(folder: Path, to: Path) -> Path:
    return Path(shutil.copytree(folder, to / "again"))


def same_as_from_the_beginning(
    folder: Path, tmp_path: Path, data: Samples, *overrides: str
) -> bool:
    fresh = tmp_path / "fresh"
    run(fresh, data, *overrides)
    names = [path.relative_to(fresh) for path in sorted(fresh.rglob("*.jsonl"))]
    return all((folder / name).read_bytes() == (fresh / name).read_bytes() for name in names)


def test_a_changed_prompt_reads_no_picture_anew(finished: Path, tmp_path: Path) -> None:
    folder = copy_of(finished, tmp_path)
    prompt = tmp_path / "other.jinja"
    prompt.write_text("{% block expression %}the {{ mention }}{% endblock %}\n")
    overrides = f"rewrite.prompt={prompt}"
    done = made(run(folder, posts(), overrides))
    assert done == {"tag": 0, "rewrite": 3, "observe": 0, "entail": 0, "ground": 0, "segment": 0}
    assert b'"expression":"the ' in (folder / "records.jsonl").read_bytes()
    assert same_as_from_the_beginning(folder, tmp_path, posts(), overrides)


def test_a_changed_caption_tags_nothing_anew(finished: Path, tmp_path: Path) -> None:
    folder = copy_of(finished, tmp_path)
    data = posts(lambda one: replace(one, caption="two men and a dog"))
    done = made(run(folder, data))
    assert (done["tag"], done["observe"]) == (0, 0)
    assert (done["rewrite"], done["entail"]) == (3, 3)
    assert same_as_from_the_beginning(folder, tmp_path, data)


def test_another_tagger_redoes_what_depends_on_names(finished: Path, tmp_path: Path) -> None:
    folder = copy_of(finished, tmp_path)
    done = made(run(folder, posts(), "tag=phrases"))
    assert {stage for stage, count in done.items() if count} >= {"tag", "rewrite", "entail"}
    assert done["observe"] == 0  # without OCR it looks for no name
    assert same_as_from_the_beginning(folder, tmp_path, posts(), "tag=phrases")


def test_a_folder_without_these_digests_is_gone_on_with(finished: Path, tmp_path: Path) -> None:
    folder = copy_of(finished, tmp_path)
    for path in folder.glob("[1-9]-*/part-*.jsonl"):
        first, _, rest = path.read_bytes().partition(b"\n")
        header = json.loads(first)
        assert len(header.pop("reads")) == len(header["inputs"])
        path.write_bytes(json.dumps(header, separators=(",", ":")).encode() + b"\n" + rest)
    assert set(made(run(folder, posts())).values()) == {0}
    data = posts(lambda one: replace(one, caption="two men and a dog"))
    assert made(run(folder, data))["tag"] == 3
    assert same_as_from_the_beginning(folder, tmp_path, data)


def test_ocr_looks_for_labels_and_for_nothing_else() -> None:
    (step,) = [one for one in load_config("quickstart").steps if one.stage.name == "observe"]
    entity = Entity("e0", "Ada", "PER", Span(0, 1))
    sample = Sample("a", "Ada", ("Ada",), ((0, 3),), ImageRef("a.jpg"), entities=(entity,))

    def digest(one: Entity, stamp: str = "1") -> str:
        return digest_of_reads(step, replace(sample, entities=(one,)), stamp)

    assert digest(replace(entity, expression="a woman", score=0.3)) == digest(entity)
    assert digest(replace(entity, label="ORG")) != digest(entity)
    assert digest(entity, "2") != digest(entity)
    assert digest_of_reads(step, replace(sample, entities=None), "1") != digest(entity)


def test_answers_and_issues_move_and_nothing_else_does() -> None:
    (step,) = [one for one in load_config("quickstart").steps if one.stage.name == "ground"]
    before = Issue("observe", None, "warning", "of the old one")
    own = Issue("ground", "e0", "no-answer", "of the grounder")
    regions = (Region(Box(0, 0, 1, 1)),)
    entity = Entity("e0", "Ada", "PER", Span(0, 1), entailment=Entailment(0.9, True))
    old = Sample("a", "Ada", ("Ada",), ((0, 3),), caption="old", issues=(before, own))
    old = replace(old, entities=(replace(entity, regions=regions, expression="old"),))
    new = replace(old, caption="new", issues=(), entities=(replace(entity, expression="new"),))
    assert moved(step, new, old) == replace(
        new, issues=(own,), entities=(replace(entity, expression="new", regions=regions),)
    )


def test_a_header_is_written_as_it_was_where_nothing_is_declared() -> None:
    header = PartHeader(2, "tag", "f", ("a",), ("b",))
    assert b"reads" not in header.line()
    assert decode(PartHeader, header.line()) == header
    assert decode(PartHeader, replace(header, reads=("c",)).line()).reads == ("c",)


def test_every_record_of_a_run_has_a_digest(finished: Path) -> None:
    run_folder = RunFolder(finished)
    for folder, _ in run_folder.stages(run_folder.read_manifest()):
        for part in folder.parts():
            assert len(part.header.reads) == len(part.lines)
            assert part.is_whole
