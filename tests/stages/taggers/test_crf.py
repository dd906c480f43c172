"""The backend of trained sequence taggers, on folders with random weights."""

from __future__ import annotations

import resource
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch", reason='needs the extra: pip install "riveg[models]"')

import torch
from helpers.contracts import check_backend
from helpers.tiny_taggers import FINE, KINDS, POSTS, save_encoder
from pydantic import ValidationError

from riveg.config.backend import BuildContext
from riveg.config.reader import load_config
from riveg.errors import UserError
from riveg.images.loader import ImageLoader
from riveg.nn.encoders import load_encoder, load_fast_tokenizer
from riveg.nn.sequence_tagger import SequenceTagger
from riveg.nn.tagger_design import TaggerDesign, TaggerSettings, write_settings
from riveg.nn.tagger_folder import write_network
from riveg.protocols import PartialAnswer
from riveg.runs.sources import make_sample
from riveg.stages.reviewers.uncertainty import normalised_entropy
from riveg.stages.table import TAG
from riveg.stages.taggers.crf import CrfTagger, CrfTaggerConfig
from riveg.types import Entity, Sample

LABELS = ("PER", "LOC", "ORG")
FINE_TAGS = ("O", *(f"{letter}-{name}" for name in FINE.values() for letter in "BI"))
TAGS = ("O", *(f"{letter}-{label}" for label in LABELS for letter in "BI"))
COARSE_OF = {fine: label for label, fine in FINE.items()}


def save_tagger(folder: Path, kind: str = "bert", *, knowledge: bool = False) -> Path:
    """A tagger of two levels whose random weights find something in most posts."""
    save_encoder(folder, kind)
    design = TaggerDesign(tags=TAGS, fine_tags=FINE_TAGS, shapes=True)
    torch.manual_seed(3)
    network = SequenceTagger(load_encoder(folder), design)
    with torch.no_grad():
        for head in (network.head, network.fine_head):
            assert head is not None
            head.weight.normal_()
    write_network(folder, network, load_fast_tokenizer(folder))
    settings = TaggerSettings(
        design=design,
        coarse_of=COARSE_OF,
        max_pieces=40,
        knowledge="appended" if knowledge else "none",
        temperature=2.0,
    )
    write_settings(folder, settings)
    return folder


SAMPLES = [make_sample(text, id=str(number)) for number, (text, _, _) in enumerate(POSTS)] + [
    make_sample(" ".join(["Ann met Bob in Rome and Oslo"] * 30), id="long"),
    make_sample("\u200b 😀 \x00", id="odd"),
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.slow
def test_it_keeps_the_contract(kind: str, tmp_path: Path) -> None:
    tagger = CrfTagger(save_tagger(tmp_path, kind), device="cpu", batch_size=3)
    answers = check_backend(TAG, tagger, SAMPLES)
    entities = [one for answer in answers if isinstance(answer, tuple) for one in answer]
    assert entities
    for entity in entities:
        assert entity.score is not None
        assert 0 <= entity.score <= 1
        assert entity.label == COARSE_OF[str(entity.fine_label)]
        for scores, names in (
            (entity.label_scores, LABELS),
            (entity.fine_label_scores, FINE.values()),
        ):
            assert scores is not None
            assert set(scores) == set(names)
            assert sum(scores.values()) == pytest.approx(1, abs=1e-3)
    long = answers[-2]
    assert isinstance(long, tuple)
    assert max(entity.span.end for entity in long) > 150


@pytest.fixture(scope="module")
def with_knowledge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tagger(tmp_path_factory.mktemp("tagger"), knowledge=True)


def test_knowledge_shapes_answers_and_its_absence_is_told(with_knowledge: Path) -> None:
    tagger = CrfTagger(with_knowledge, knowledge="appended", device="cpu")
    plain = SAMPLES[0]
    one, other = (replace(plain, knowledge=text) for text in ("actor Ann", "city of Rome"))
    first, second, without = tagger.tag([one, other, plain])
    assert isinstance(first, tuple)
    assert first != second
    assert isinstance(without, PartialAnswer)
    assert [issue.kind for issue in without.issues] == ["warning"]


@pytest.mark.parametrize(
    ("knowledge", "used", "message"),
    [
        (True, "none", "was trained with knowledge behind the text: say `knowledge: appended`"),
        (False, "appended", "was trained without knowledge: leave `knowledge` out"),
    ],
)
def test_a_tagger_is_used_as_it_was_trained(
    knowledge: bool, used: str, message: str, tmp_path: Path
) -> None:
    config = CrfTaggerConfig.model_validate(
        {"model": save_tagger(tmp_path, knowledge=knowledge), "knowledge": used}
    )
    with pytest.raises(UserError, match=message):
        config.contents(Path())  # before a language model is asked for knowledge
    with pytest.raises(UserError, match=message):
        config.build(BuildContext(images=ImageLoader(())))


def test_knowledge_needs_the_stage_that_gives_it(with_knowledge: Path, tmp_path: Path) -> None:
    path = tmp_path / "system.yaml"
    path.write_text(
        f"name: pgim\ntag: {{backend: crf, model: {with_knowledge}, knowledge: appended}}\n",
        encoding="utf-8",
    )
    with pytest.raises(UserError, match="add the stage augment"):
        load_config(path)


def test_a_gpu_that_is_not_there_and_a_wrong_folder_are_told(
    with_knowledge: Path, tmp_path: Path
) -> None:
    if not torch.cuda.is_available():
        with pytest.raises(UserError, match="torch sees no CUDA device"):
            CrfTagger(with_knowledge, knowledge="appended", device="cuda")
    with pytest.raises(UserError, match="make it with `riveg train crf-tagger`"):
        CrfTaggerConfig(model=tmp_path).contents(Path())


def test_an_empty_post_has_no_entities(with_knowledge: Path) -> None:
    empty = Sample(id="a", text="", tokens=(), offsets=(), knowledge="city")
    tagger = CrfTagger(with_knowledge, knowledge="appended", device="cpu")
    assert list(tagger.tag([empty])) == [()]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_a_gpu_finds_what_the_cpu_finds(with_knowledge: Path) -> None:
    samples = [replace(sample, knowledge="city actor") for sample in SAMPLES]
    spans = [
        [
            [(one.span, one.label) for one in answer if (one.score or 0) > 0.7]
            for answer in CrfTagger(with_knowledge, knowledge="appended", device=device).tag(
                samples
            )
            if isinstance(answer, tuple)
        ]
        for device in ("cpu", "cuda")
    ]
    assert spans[0] == spans[1]


@pytest.mark.parametrize(("size", "name"), [(10, "config.json"), (20_000, "model.safetensors")])
def test_a_full_disk_is_one_line_that_names_the_file(tmp_path: Path, size: int, name: str) -> None:
    save_encoder(tmp_path, "bert")
    network = SequenceTagger(load_encoder(tmp_path), TaggerDesign(tags=TAGS))
    tokenizer = load_fast_tokenizer(tmp_path)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        with pytest.raises(UserError, match=rf"/{name}: cannot be written .*; make room"):
            write_network(tmp_path, network, tokenizer)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not [*tmp_path.glob("*.partial")]


def uncertainties(tagger: CrfTagger, samples: list[Sample]) -> list[list[dict[str, float]]]:
    answers = tagger.tag(samples)
    found = [one.answer if isinstance(one, PartialAnswer) else one for one in answers]
    return [
        [dict(entity.uncertainty or {}) for entity in one]
        for one in found
        if isinstance(one, tuple)
    ]


def test_passes_with_dropout_say_how_uncertain_words_and_types_are(tmp_path: Path) -> None:
    folder = save_tagger(tmp_path)
    tagger = CrfTagger(folder, device="cpu", dropout_passes=4)
    torch.manual_seed(11)
    chance = torch.random.get_rng_state()
    found = uncertainties(tagger, SAMPLES)
    assert torch.equal(torch.random.get_rng_state(), chance), "the chance of others is left alone"
    values = [value for entities in found for one in entities for value in one.values()]
    assert all({*one} == {"span", "type"} for entities in found for one in entities)
    assert all(0 <= value <= 1 for value in values)
    assert len({*values}) > len(values) / 2
    alone = [uncertainties(tagger, [sample])[0] for sample in SAMPLES[::-1]]
    assert alone[::-1] == found, "a text's numbers do not depend on its batch"
    again = CrfTagger(folder, device="cpu", batch_size=2, dropout_passes=4)
    assert uncertainties(again, SAMPLES) == found
    other = CrfTagger(folder, device="cpu", dropout_passes=4, dropout_seed=1)
    assert uncertainties(other, SAMPLES) != found
    plain = CrfTagger(folder, device="cpu")
    answers, without = (
        [entity for one in live.tag(SAMPLES) if isinstance(one, tuple) for entity in one]
        for live in (tagger, plain)
    )
    assert [replace(one, uncertainty=None) for one in answers] == without


def test_passes_differ_by_dropout_alone(tmp_path: Path) -> None:
    """Without dropout in the network the mean of the passes is the one distribution."""
    folder = save_tagger(tmp_path)
    tagger = CrfTagger(folder, device="cpu", dropout_passes=3)
    assert tagger._passes is not None
    network = tagger._passes._network
    for module in network.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    for entity in [one for answer in tagger.tag(SAMPLES[:3]) for one in answer]:  # type: ignore[union-attr]
        assert isinstance(entity, Entity)
        assert entity.uncertainty is not None
        scores = entity.fine_label_scores or {}
        assert entity.uncertainty["type"] == pytest.approx(normalised_entropy(scores), abs=2e-3)
    assert not network.training


def test_one_pass_with_dropout_is_refused() -> None:
    with pytest.raises(ValidationError, match="one pass cannot differ"):
        CrfTaggerConfig(model=Path("any"), dropout_passes=1)
