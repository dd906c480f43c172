from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.answers import whole
from helpers.contracts import check_backend
from helpers.factories import make_context, make_sample, mentions_of
from hypothesis import given, settings
from hypothesis import strategies as st

from riveg.errors import UserError
from riveg.files import asset, shipped
from riveg.protocols import Mention
from riveg.registry import backend_config
from riveg.runs.system import System, load_system
from riveg.stages.entailers.mini import MiniEntailer, MiniEntailerConfig
from riveg.stages.table import ENTAIL
from riveg.types import Box, Entailment, Observation, Sample

BACKEND = MiniEntailerConfig().build(make_context())
TEXT = "RT @ NASA : Eileen Collins meets Tim Peake in Texas"
SPANS = [(2, 3, "ORG"), (4, 6, "PER"), (7, 9, "PER"), (10, 11, "LOC")]
FACE = Observation("face", Box(0, 0, 9, 9), 0.9)
PERSON = Observation("person", Box(0, 0, 9, 9), 0.9)


def lettering(text: str) -> Observation:
    return Observation("text", Box(0, 0, 9, 9), 0.9, text)


def probability(sample: Sample, number: int, backend: MiniEntailer = BACKEND) -> float:
    (answer,) = backend.entail([mentions_of(sample)[number]])
    assert isinstance(answer, Entailment)
    assert answer.probability is not None
    return answer.probability


def looked(*observations: Observation, caption: str | None = None) -> Sample:
    return make_sample(TEXT, SPANS, observations=observations, caption=caption)


def test_contract() -> None:
    samples = [
        make_sample(TEXT, SPANS, id="1"),
        make_sample(TEXT, SPANS, id="2", caption="a woman in a space suit"),
        make_sample(TEXT, SPANS, id="3", observations=(FACE, lettering("NASA"))),
        make_sample(TEXT, SPANS, id="4", has_image=False),
        make_sample("Zürich \U0001f600", [(0, 1, "stadt")], id="5", caption=" "),
    ]
    for entailment in map(whole, check_backend(ENTAIL, BACKEND, mentions_of(*samples))):
        assert entailment.source == "mini"
        assert entailment.probability is not None
        assert entailment.groundable == (entailment.probability >= 0.5)


def test_without_an_image_nothing_is_groundable() -> None:
    sample = make_sample(TEXT, SPANS, has_image=False, caption="a man")
    opened = MiniEntailerConfig(threshold=0.0).build(make_context())
    for backend in (BACKEND, opened):
        answers = backend.entail(mentions_of(sample))
        assert answers == [Entailment(0.0, False, "mini")] * len(SPANS)


def test_the_threshold_moves_the_gate_and_not_the_probability() -> None:
    mentions = mentions_of(make_sample(TEXT, SPANS))
    gates = [MiniEntailerConfig(threshold=one).build(make_context()) for one in (1.0, 0.0)]
    strict, loose = ([*map(whole, gate.entail(mentions))] for gate in gates)
    assert [answer.groundable for answer in strict] == [False] * 4
    assert [answer.groundable for answer in loose] == [True] * 4
    assert [replace(answer, groundable=True) for answer in strict] == loose


@pytest.mark.parametrize("caption", [None, "a woman in a space suit"])
@pytest.mark.parametrize(
    ("likelier", "number", "than", "why"),
    [
        ((FACE,), 1, (), "a face for the person"),
        ((PERSON,), 1, (), "a body for the person"),
        ((FACE,), 1, (PERSON,), "a face is surer than a body"),
        ((FACE, FACE), 2, (FACE,), "a face for the second person too"),
        ((FACE,), 2, (), "the only face is the first person's: no gain, but no loss either"),
        ((lettering("NASA"),), 0, (), "the name is to be read"),
        ((lettering("the nasa logo"),), 0, (lettering("NASDAQ"),), "whole words, any case"),
        ((lettering("EILEEN COLLIN5"),), 1, (), "one letter misread in a long word"),
        ((lettering("EileenCollins"),), 1, (lettering("Eileen"),), "written together; half a name"),
        ((lettering("TEXAS"),), 3, (FACE,), "faces say nothing of places"),
    ],
)
def test_image_evidence_points_the_right_way(
    caption: str | None,
    likelier: tuple[Observation, ...],
    number: int,
    than: tuple[Observation, ...],
    why: str,
) -> None:
    more = probability(looked(*likelier, caption=caption), number)
    less = probability(looked(*than, caption=caption), number)
    assert more > less, why


@pytest.mark.parametrize("number", [0, 3])
def test_faces_change_nothing_but_persons(number: int) -> None:
    assert probability(looked(FACE), number) == probability(looked(), number)


def test_unasked_vision_is_not_an_empty_image() -> None:
    unasked = probability(make_sample(TEXT, SPANS), 1)
    assert probability(looked(), 1) < unasked < probability(looked(FACE), 1)


def test_a_caption_is_used() -> None:
    shown = probability(looked(caption="eileen collins in front of a nasa logo"), 1)
    hidden = probability(looked(caption="a map of the world"), 1)
    assert shown > hidden


def test_labels_share_by_their_distribution() -> None:
    sample = make_sample(TEXT, SPANS)
    entity = (sample.entities or ())[1]
    said = {}
    for scores in ({"PER": 1.0}, {"LOC": 1.0}, {"PER": 0.5, "LOC": 0.5}):
        (answer,) = BACKEND.entail([Mention(sample, replace(entity, label_scores=scores))])
        assert isinstance(answer, Entailment)
        said[len(scores), *scores] = answer.probability or 0.0
    assert said[2, "PER", "LOC"] == pytest.approx((said[1, "PER"] + said[1, "LOC"]) / 2, abs=1e-3)
    assert said[1, "PER"] > said[1, "LOC"], "persons are shown more often than places"


@pytest.mark.parametrize(("label", "like"), [("person", "PER"), ("GPE", "LOC"), ("film", "OTHER")])
def test_labels_of_ones_own_are_folded(label: str, like: str) -> None:
    own = probability(make_sample("I saw Jaws", [(2, 3, label)]), 0)
    assert own == probability(make_sample("I saw Jaws", [(2, 3, like)]), 0)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=12), st.text(max_size=30))
def test_any_text_gets_a_probability(tokens: list[str], caption: str) -> None:
    text = " ".join(token.replace(" ", "_") for token in tokens)
    length = len(text.split(" "))
    sample = make_sample(text, [(0, length, "PER"), (length - 1, length, "x")], caption=caption)
    assert 0.0 < probability(sample, 0) < 1.0
    assert 0.0 < probability(sample, 1) < 1.0


def test_a_long_text_costs_no_more_a_mention_than_its_surroundings() -> None:
    filler = " ".join(["word"] * 300)
    long = make_sample(f"{filler} Texas {filler}", [(300, 301, "LOC")])
    longer = make_sample(f"{filler} {long.text} {filler}", [(600, 601, "LOC")])
    assert probability(long, 0) == probability(longer, 0)


@pytest.fixture(scope="module")
def system() -> System:
    return load_system("quickstart")


def image_path(name: str) -> Path:
    return shipped("data", "quickstart", "images", f"{name}.jpg")


@pytest.mark.slow
def test_a_person_with_a_clear_face_is_in_the_image(system: System) -> None:
    """Plain sentences, no caption, one face: the tagger's and the detector's misses count too."""
    missed = []
    for text in (
        "Ada Lovelace at work this morning",
        "with my friend John Smith",
        "Maria Garcia speaking at the conference",
        "Happy birthday to my brother David Miller !",
        "Anna Kowalski on stage tonight",
        "Meet Priya Patel , our new engineer",
        "Great talk by Linda Brown today",
        "coffee with Fatima this afternoon",
        "Eileen Collins smiles before her flight",
        "A picture of Marie Curie",
    ):
        found = system.predict(text=text, image=image_path("qs01-astronaut")).entities or ()
        persons = [one.entailment for one in found if one.label == "PER"]
        if not any(one is not None and one.groundable for one in persons):
            missed.append(text)
    assert len(missed) <= 1, missed


@pytest.mark.parametrize("caption", [None, "a poster on a wall"])
@pytest.mark.parametrize(
    ("image", "text", "name", "why"),
    [
        ("qs06-poster", "Jimi Hendrix plays tonight", "Jimi Hendrix", "a person on a poster"),
        ("qs08-jersey", "My Messi shirt is here", "Messi", "a surname on a jersey"),
        ("qs08-jersey", "Wearing it when Barcelona play", "Barcelona", "a club on a jersey"),
        ("qs07-slide", "Great talk from Yale today", "Yale", "four letters in a long line"),
        ("qs11-scoreboard", "Liverpool win it again", "Liverpool", "a club on a scoreboard"),
    ],
)
def test_a_name_that_is_read_is_in_the_image(
    system: System, image: str, text: str, name: str, why: str, caption: str | None
) -> None:
    found = system.predict(text=text, image=image_path(image), caption=caption).entities or ()
    (entity,) = [one for one in found if one.text == name]
    assert entity.entailment is not None
    assert entity.entailment.groundable, why
    (other,) = (
        system.predict(text=text, image=image_path("qs02-rocket"), caption=caption).entities or ()
    )
    assert other.entailment is not None
    assert (other.entailment.probability or 0) < (entity.entailment.probability or 0)


def test_registered_with_contents() -> None:
    assert backend_config("entail", "mini") is MiniEntailerConfig
    assert not MiniEntailerConfig.needs_image
    assert set(MiniEntailerConfig().contents(Path())) == {"caption.json", "captionless.json"}


def test_shipped_files_are_small_and_give_a_reason_for_each_shift() -> None:
    for name in ("caption.json", "captionless.json"):
        path = asset("entailer", name)
        assert path.stat().st_size < 400_000
        for shift in json.loads(path.read_text(encoding="utf-8"))["shifts"].values():
            assert shift["reason"]


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"lacks caption\.json, captionless\.json"):
        MiniEntailerConfig(model=Path("absent")).build(make_context(tmp_path))
    for content, message in (("{}", "KeyError"), ('{"format":2}', "of format 2"), ("x", "JSON")):
        for name in ("caption.json", "captionless.json"):
            (tmp_path / name).write_text(content)
        with pytest.raises(UserError, match=message):
            MiniEntailerConfig(model=Path()).build(make_context(tmp_path))
