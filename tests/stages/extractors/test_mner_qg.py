"""``extract: mner-qg`` on checkpoints with random weights: contract, exactness, a whole run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason='needs the extra: pip install "riveg[models]"')

from helpers.command_line import riveg
from helpers.contracts import check_backend
from helpers.factories import make_context
from helpers.odd_images import SIDES, image_context, open_upright, save_odd_images
from helpers.tiny_mner_qg import QUERIES, SIDE, save_mner_qg, write_dataset
from helpers.tiny_taggers import POSTS

from riveg.errors import UserError
from riveg.nn.mner_qg_design import MnerQgSettings, read_settings, write_settings
from riveg.nn.mner_qg_inputs import QueriedPost, collate_queries
from riveg.protocols import Extraction
from riveg.runs.sources import make_sample
from riveg.stages.extractors.mner_qg import MnerQgExtractor, MnerQgExtractorConfig
from riveg.stages.table import EXTRACT
from riveg.types import ImageRef, Issue, Sample

pytestmark = pytest.mark.slow  # torch and its models, loaded and run

LONG = " ".join(["Ann met Bob in Rome and Oslo"] * 10)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_odd_images(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_mner_qg(tmp_path_factory.mktemp("model"))


def build(model: Path, images: Path, **options: Any) -> MnerQgExtractor:
    config = MnerQgExtractorConfig.model_validate({"model": model, "device": "cpu", **options})
    extractor = config.build(image_context(images, Path()))
    assert isinstance(extractor, MnerQgExtractor)
    return extractor


def about(*names: str, text: str = POSTS[0][0]) -> list[Sample]:
    """A sample about each image, with the posts' texts in turn."""
    texts = [text, *(text for text, _, _ in POSTS), LONG]
    return [
        replace(make_sample(texts[at % len(texts)], id=str(at)), image=ImageRef(name))
        for at, name in enumerate(names)
    ]


def entities_of(answers: Any) -> list[Any]:
    return [one for answer in answers if isinstance(answer, Extraction) for one in answer.entities]


@pytest.mark.parametrize(
    ("kind", "backbone"), [("bert", "resnet"), ("roberta", "convnextv2"), ("xlm-roberta", "swin")]
)
def test_it_keeps_the_contract(kind: str, backbone: str, images: Path, tmp_path: Path) -> None:
    samples = [*about(*SIDES, "gone.png", *SIDES), *about("odd.png", text=LONG)]
    samples.append(replace(make_sample("\u200b", id="odd"), image=ImageRef("odd.png")))
    samples = [replace(sample, id=str(at)) for at, sample in enumerate(samples)]
    folder = save_mner_qg(tmp_path / "model", kind, backbone)
    answers = check_backend(EXTRACT, build(folder, images, batch_size=3, threshold=0.2), samples)
    assert [answer.kind for answer in answers if isinstance(answer, Issue)] == ["missing-image"]
    entities = entities_of(answers)
    assert len(entities) >= 5, "random weights find something"
    assert any(entity.regions for entity in entities)
    assert {entity.label for entity in entities} <= {*QUERIES}
    long = answers[-2]
    assert isinstance(long, Extraction)
    assert max(entity.span.end for entity in long.entities) > 40, "in a later window"
    for answer in answers:
        if isinstance(answer, Extraction):
            spans = [entity.span for entity in answer.entities]
            assert spans == sorted(spans, key=lambda span: span.start)
            assert all(one.end <= two.start for one, two in pairwise(spans))


def test_turned_and_odd_images_are_seen_as_their_upright_pixels(
    model: Path, images: Path, tmp_path: Path
) -> None:
    extractor = build(model, images, threshold=0.0)
    for name in SIDES:
        open_upright(images, name).save(tmp_path / "upright.png")
        (stored,) = extractor.extract(about(name))
        (upright,) = build(model, tmp_path, threshold=0.0).extract(about("upright.png"))
        assert stored == upright
        assert any(entity.regions for entity in entities_of([stored]))


def test_batches_of_any_size_and_workers_answer_alike(model: Path, images: Path) -> None:
    samples = about(*SIDES, *SIDES)
    expected = build(model, images, batch_size=1).extract(samples)
    assert build(model, images, batch_size=64).extract(samples) == expected
    extractor = build(model, images, workers=2)
    extractor.image_queue.expect([sample.image for sample in samples if sample.image])
    try:
        assert extractor.extract(samples) == expected
    finally:
        extractor.image_queue.close()


def test_a_text_of_many_windows_is_read_in_parts(
    model: Path, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = about(*SIDES, text=LONG)
    extractor = build(model, images)
    expected = extractor.extract(samples)
    rows: list[int] = []

    def counted(posts: Sequence[QueriedPost], *, padding_id: int) -> dict[str, Any]:
        rows.append(max(len(post.windows) for post in posts))
        return collate_queries(posts, padding_id=padding_id)

    monkeypatch.setattr("riveg.nn.mner_qg_prediction._MOST_ROWS", 2)
    monkeypatch.setattr("riveg.nn.mner_qg_prediction.collate_queries", counted)
    assert extractor.extract(samples) == expected
    assert set(rows) == {1, 2}


def test_it_computes_in_bfloat16_too(model: Path, images: Path) -> None:
    samples = about(*SIDES)
    exact, coarse = (
        entities_of(build(model, images, dtype=dtype, threshold=0.0).extract(samples))
        for dtype in ("float32", "bfloat16")
    )
    same = {(one.id, one.text, one.label) for one in exact} & {
        (one.id, one.text, one.label) for one in coarse
    }
    assert len(same) > len(exact) / 2


def with_settings(model: Path, folder: Path, **more: Any) -> MnerQgSettings:
    for path in model.rglob("*"):
        if path.is_file() and "parts" not in path.parts:
            target = folder / path.relative_to(model)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    settings = read_settings(model).model_copy(update=more)
    write_settings(folder, settings)
    return settings


def test_a_region_goes_to_all_entities_of_its_type_or_to_one(model: Path, images: Path) -> None:
    samples = about(*SIDES, *SIDES)
    shared, single = (
        build(model, images, per_entity=kind, threshold=0.0).extract(samples)
        for kind in ("all", "one")
    )
    several = 0
    for all_of_them, one in zip(shared, single, strict=True):
        assert isinstance(all_of_them, Extraction)
        assert isinstance(one, Extraction)
        for label in QUERIES:
            own = [entity for entity in all_of_them.entities if entity.label == label]
            assert len({entity.regions for entity in own}) <= 1
            assert all(entity.regions for entity in own)
            chosen = [entity for entity in one.entities if entity.label == label and entity.regions]
            assert len(chosen) == bool(own)
            if chosen:
                assert chosen[0].score == max(entity.score or 0.0 for entity in own)
            several += len(own) > 1
    assert several, "some post has several entities of a type"


def test_the_threshold_is_that_of_dev_unless_another_is_given(
    model: Path, images: Path, tmp_path: Path
) -> None:
    samples = about(*SIDES)
    found = [one.regions for one in entities_of(build(model, images).extract(samples))]
    with_settings(model, tmp_path / "strict", threshold=1.0)
    strict = build(tmp_path / "strict", images)
    assert {one.regions for one in entities_of(strict.extract(samples))} == {()}
    same = build(tmp_path / "strict", images, threshold=read_settings(model).threshold)
    assert [one.regions for one in entities_of(same.extract(samples))] == found


def test_fine_types_stand_below_their_types(model: Path, images: Path, tmp_path: Path) -> None:
    coarse_of = {"PER": "BEING", "LOC": "PLACE", "ORG": "BEING"}
    settings = with_settings(model, tmp_path / "fine", coarse_of=coarse_of)
    assert settings.labels == ("BEING", "PLACE")
    entities = entities_of(build(tmp_path / "fine", images).extract(about(*SIDES)))
    assert entities
    assert all(entity.label == coarse_of[str(entity.fine_label)] for entity in entities)


def test_a_network_that_was_taught_no_regions_answers_none(images: Path, tmp_path: Path) -> None:
    folder = save_mner_qg(tmp_path / "model", anchors=(), existence=False)
    entities = entities_of(build(folder, images).extract(about(*SIDES)))
    assert entities
    assert {entity.regions for entity in entities} == {None}


def test_what_is_no_checkpoint_is_told_in_one_line(model: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"extract\.model: .* lacks mner-qg\.json, .*train mner-qg"):
        MnerQgExtractorConfig(model=tmp_path).build(make_context())
    with_settings(model, tmp_path / "bad")
    (tmp_path / "bad" / "mner-qg.json").write_text('{"queries": {}}')
    with pytest.raises(UserError, match=r"mner-qg\.json: is not of an MNER-QG"):
        MnerQgExtractorConfig(model=tmp_path / "bad").build(make_context())


def test_the_system_runs_resumes_is_scored_and_reported(model: Path, tmp_path: Path) -> None:
    data = write_dataset(tmp_path / "data")
    out = tmp_path / "run"
    extractor = ["--set", f"extract.model={model}", "--set", "extract.device=cpu"]
    words = ["run", "mner-qg", "--data", str(data), "--split", "dev", "--out", str(out)]
    run = [*words, *extractor]
    begun = riveg(*run, "--until", "extract")
    assert begun.returncode == 0, begun.stderr
    records = (out / "records.jsonl").read_text().splitlines()
    done = riveg(*run)
    assert done.returncode == 0, done.stderr
    finished = [json.loads(line) for line in (out / "records.jsonl").read_text().splitlines()]
    assert len(finished) == len(records) == len(POSTS)
    entities = [entity for record in finished for entity in record["entities"]]
    regions = [region for entity in entities for region in entity["regions"]]
    assert regions
    assert {region["source"] for region in regions} == {"mner-qg"}
    assert all(region["mask"] for region in regions)
    assert all(0 <= edge <= SIDE for region in regions for edge in region["box"].values())
    scored = riveg("eval", out, "--gold", data, "--split", "dev")
    assert scored.returncode == 0, scored.stderr
    assert "GMNER" in scored.stdout
    page = tmp_path / "report.html"
    reported = riveg("report", out, "--gold", data, "--split", "dev", "--out", page)
    assert reported.returncode == 0, reported.stderr
    assert page.stat().st_size > 10_000
