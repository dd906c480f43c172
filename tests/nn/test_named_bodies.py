"""Who is raised for a body and who is shown with it: one rule."""

from __future__ import annotations

from dataclasses import replace

from helpers.answers import whole
from helpers.factories import make_context, make_sample, mentions_of
from hypothesis import given
from hypothesis import strategies as st

from riveg.nn.image_evidence import FACE, PERSON, SHIFTS, THING, evidence_shifts
from riveg.nn.named_bodies import assign_bodies, find_named_bodies, name_of
from riveg.stages.entailers.mini import MiniEntailerConfig
from riveg.stages.grounders.evidence import EvidenceGrounder, EvidenceGrounderConfig
from riveg.types import Box, Entailment, ImageRef, Observation, Sample

RAISED = dict.fromkeys(SHIFTS, 0.0) | {FACE: 2.0, PERSON: 1.0, THING: 1.0}
WIDTH, HEIGHT = 600, 450
GROUNDER: EvidenceGrounder = EvidenceGrounderConfig().build(make_context())


def person(x: float, width: float = 90, score: float = 0.7) -> Observation:
    return Observation("person", Box(x, 50, x + width, 350), score)


def written(text: str, x: float, width: float = 60) -> Observation:
    return Observation("text", Box(x, 200, x + width, 215), 0.95, text)


def post(text: str, *seen: Observation, label: str = "PER") -> Sample:
    """Its names are the words with a capital."""
    spans = [
        (number, number + 1, label)
        for number, word in enumerate(text.split(" "))
        if word[0].isupper()
    ]
    sample = make_sample(text, spans, observations=seen)
    return replace(sample, image=ImageRef("p.jpg", WIDTH, HEIGHT))


def raised(sample: Sample) -> dict[str, float]:
    """The log-odds that each name gains from a body, those of nobody being none."""
    return {
        entity.text: max(evidence_shifts(sample, entity, RAISED).values())
        for entity in sample.entities or ()
    }


def places(sample: Sample) -> dict[str, float | None]:
    """The left edge of the region of each name."""
    mentions = mentions_of(sample)
    answers = [whole(answer) for answer in GROUNDER.ground(mentions)]
    return {
        mention.entity.text: regions[0].box.x_min if regions else None
        for mention, regions in zip(mentions, answers, strict=True)
    }


def test_a_second_name_gains_nothing_from_one_person() -> None:
    sample = post("Ann and Bob", person(200))
    assert raised(sample) == {"Ann": 1.0, "Bob": 0.0}
    assert places(sample) == {"Ann": 200, "Bob": None}


def test_the_name_that_is_written_on_the_person_is_raised_and_shown() -> None:
    sample = post("Lionel and Suarez", person(200), written("SUAREZ", 210))
    assert raised(sample) == {"Lionel": 0.0, "Suarez": 1.0}
    assert places(sample) == {"Lionel": None, "Suarez": 200}


def test_a_face_counts_for_the_name_whose_body_it_is() -> None:
    face = Observation("face", Box(430, 60, 460, 90), 0.9)
    sample = post("Ann and Bob", face, person(100), person(400))
    assert raised(sample) == {"Ann": 1.0, "Bob": 2.0}


def test_one_dog_is_not_two_dogs() -> None:
    dog = Observation("object", Box(200, 200, 300, 300), 0.7, label="dog")
    sample = post("my dog Rex and my dog Max", dog)
    assert raised(sample) == {"Rex": 1.0, "Max": 0.0}
    assert places(sample) == {"Rex": 200, "Max": None}


def test_a_pet_takes_nobody_from_a_person() -> None:
    sample = post("my dog Rex and Ann", person(200))
    assert raised(sample) == {"Rex": 0.0, "Ann": 1.0}


def test_a_club_is_raised_by_no_person() -> None:
    sample = post("Chelsea", person(200), label="ORG")
    unsure = replace((sample.entities or ())[0], label_scores={"ORG": 0.6, "PER": 0.4})
    assert raised(replace(sample, entities=(unsure,))) == {"Chelsea": 0.0}


def test_who_is_not_let_through_leaves_the_body_to_who_has_none() -> None:
    sample = post("Ann Bob Cem", person(100), person(400))
    assert places(sample) == {"Ann": 100, "Bob": 400, "Cem": None}
    ann, *others = sample.entities or ()
    gone = replace(ann, entailment=Entailment(0.1, False, "test"))
    kept = replace(sample, entities=(gone, *others))
    mentions = [one for one in mentions_of(kept) if one.entity is not gone]
    lefts = [whole(answer)[0].box.x_min for answer in GROUNDER.ground(mentions)]
    assert lefts == [400, 100], "Bob keeps his"


def test_equal_boxes_are_two_bodies() -> None:
    bodies = [person(100), person(100)]
    assigned = assign_bodies(["Ann", "Bob"], bodies, {}, WIDTH)
    assert {id(one) for one in assigned.values()} == {id(one) for one in bodies}


def test_without_the_sides_of_the_image_the_largest_counts() -> None:
    sample = replace(post("Ann", person(500, 60), person(100, 80)), image=ImageRef("p.jpg"))
    (found,) = find_named_bodies(sample).persons.values()
    assert found.box.x_min == 100


def test_far_names_of_a_long_text_share_its_bodies() -> None:
    text = " ".join(["Ann", *["and"] * 200, "Bob"])
    looked = post(text, person(200))
    unasked = replace(looked, observations=None)
    entailer = MiniEntailerConfig().build(make_context())
    (ann, bob), (ann_before, bob_before) = (
        [whole(answer).probability or 0 for answer in entailer.entail(mentions_of(one))]
        for one in (looked, unasked)
    )
    assert bob == bob_before
    assert ann > ann_before


_WORDS = st.sampled_from(["Ann", "Bob", "Messi", "ann", "Nasa", "and", "dog", "my", "the", "cat"])
_BOXES = st.builds(
    lambda x, y, width, height: Box(x, y, min(x + width, WIDTH), min(y + height, HEIGHT)),
    *(st.integers(0, 560), st.integers(0, 420), st.integers(8, 600), st.integers(8, 450)),
)
_SEEN = st.builds(
    lambda kind, box, score, word: Observation(
        kind,
        box,
        score,
        word if kind == "text" else None,
        label=word.lower() if kind == "object" else None,
    ),
    st.sampled_from(["face", "person", "text", "object"]),
    _BOXES,
    st.sampled_from([0.3, 0.45, 0.7, 0.9]),
    st.sampled_from(["ANN", "BOB", "MESSI", "Dog", "Cat"]),
)


@st.composite
def posts(draw: st.DrawFn) -> Sample:
    words = draw(st.lists(_WORDS, min_size=1, max_size=9))
    labels = st.sampled_from(["PER", "person", "PERSON", "ORG", "OTHER", "animal"])
    spans = [(at, at + 1, draw(labels)) for at, word in enumerate(words) if draw(st.booleans())]
    seen = tuple(draw(st.lists(_SEEN, max_size=6)))
    sample = make_sample(" ".join(words), spans, observations=seen)
    return replace(sample, image=ImageRef("p.jpg", WIDTH, HEIGHT))


@given(posts(), st.data())
def test_who_is_raised_for_a_body_is_shown_with_it(sample: Sample, data: st.DataObject) -> None:
    bodies = find_named_bodies(sample)
    entities = sample.entities or ()
    gates = [Entailment(0.5, data.draw(st.booleans()), "test") for _ in entities]
    gated = tuple(
        replace(entity, entailment=gate) for entity, gate in zip(entities, gates, strict=True)
    )
    judged = replace(sample, entities=gated)
    mentions = [
        one
        for one in mentions_of(judged)
        if one.entity.entailment is not None and one.entity.entailment.groundable
    ]
    for mention, answer in zip(mentions, GROUNDER.ground(mentions), strict=True):
        name = name_of(mention.entity)
        if max(evidence_shifts(sample, mention.entity, RAISED).values()) <= 0:
            continue
        (region, *_) = whole(answer)
        if name in bodies.persons:
            own = bodies.persons[name]
            assert region.source == ("evidence:face" if own.is_grown else "evidence:person")
            assert region.box.y_min == own.box.y_min
            assert own.is_grown or region.box == own.box
        elif region.source == "evidence:object":
            assert region.box == bodies.things[name].box
        else:
            assert region.source == "evidence:lettering"


@given(posts())
def test_no_body_has_two_names(sample: Sample) -> None:
    found = find_named_bodies(sample)
    for assigned in (found.persons, found.things):
        assert len({id(one) for one in assigned.values()}) == len(assigned)
