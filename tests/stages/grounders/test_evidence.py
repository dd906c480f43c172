from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from helpers.answers import whole
from helpers.factories import mentions_of

from riveg.config.backend import BuildContext
from riveg.errors import UserError
from riveg.files import shipped
from riveg.images.loader import ImageLoader
from riveg.nn.box_prior import BoxPriors, PriorBox, read_box_priors
from riveg.protocols import Mention
from riveg.runs.system import load_system
from riveg.stages.grounders.evidence import EvidenceGrounder, EvidenceGrounderConfig
from riveg.types import (
    Box,
    Entailment,
    Entity,
    ImageRef,
    ImageSize,
    Issue,
    Observation,
    Region,
    Sample,
    Span,
)

WHOLE = PriorBox(edges=(0.2, 0.1, 0.8, 1.0), share=0.45)
LEFT = PriorBox(edges=(0.0, 0.1, 0.5, 1.0), share=0.2)
RIGHT = PriorBox(edges=(0.5, 0.1, 1.0, 1.0), share=0.2)
LOGO = PriorBox(edges=(0.4, 0.4, 0.6, 0.6), share=0.1)
PRIORS = BoxPriors(
    boxes={"PER": (WHOLE, LEFT, RIGHT), "ORG": (LOGO,), "*": (WHOLE,)}, reaches=(2.5, 2.5, 1.6)
)
GROUNDER = EvidenceGrounder(PRIORS)
GUESSER = EvidenceGrounder(PRIORS, prior="guess")


def entity(number: int, text: str, label: str = "PER", shown: bool = True) -> Entity:
    return Entity(
        f"e{number}",
        text,
        label,
        Span(number, number + 1),
        entailment=Entailment(0.7, shown, "test"),
    )


def face(x: float, side: float = 60, y: float = 100, score: float = 0.8) -> Observation:
    return Observation("face", Box(x, y, x + side, y + side), score)


def person(x: float, width: float = 80, height: float = 200) -> Observation:
    return Observation("person", Box(x, 50, x + width, 50 + height), 0.6)


def thing(label: str, x: float, width: float = 100, score: float = 0.7) -> Observation:
    return Observation("object", Box(x, 200, x + width, 300), score, label=label)


def lettering(text: str, x: float, y: float, width: float = 120, height: float = 24) -> Observation:
    return Observation("text", Box(x, y, x + width, y + height), 0.95, text)


def sample(entities: list[Entity], observations: list[Observation]) -> Sample:
    return Sample(
        "s",
        "",
        (),
        (),
        ImageRef("p.jpg", 600, 450),
        observations=tuple(observations),
        entities=tuple(entities),
    )


def ground(
    entities: list[Entity], *observations: Observation, grounder: EvidenceGrounder = GROUNDER
) -> dict[str, tuple[Region, ...]]:
    post = sample(entities, list(observations))
    asked = [one for one in entities if one.entailment is None or one.entailment.groundable]
    answers = grounder.ground([Mention(post, one) for one in asked])
    return {one.text: whole(answer) for one, answer in zip(asked, answers, strict=True)}


def center(regions: tuple[Region, ...]) -> float:
    return (regions[0].box.x_min + regions[0].box.x_max) / 2


def test_one_face_one_person_gets_a_body() -> None:
    (region,) = ground([entity(0, "Ann")], face(270))["Ann"]
    assert region.source == "evidence:face"
    assert region.score == 0.8
    assert region.box == Box(210, 73, 390, 450)


def test_the_larger_of_several_faces_wins() -> None:
    assert center(ground([entity(0, "Ann")], face(120, 40), face(380, 90))["Ann"]) > 350


def test_the_more_central_of_like_faces_wins() -> None:
    assert center(ground([entity(0, "Ann")], face(30), face(270), face(520))["Ann"]) == 300


def test_several_people_go_from_left_to_right_in_text_order() -> None:
    found = ground([entity(0, "Ann"), entity(1, "Bob")], face(400), face(100))
    assert center(found["Ann"]) < 300 < center(found["Bob"])


def test_two_people_of_three_faces_get_the_prominent_ones() -> None:
    found = ground([entity(0, "Ann"), entity(1, "Bob")], face(20, 25), face(200), face(340))
    assert [round(center(found[name])) for name in ("Ann", "Bob")] == pytest.approx(
        [230, 370], abs=25
    )


def test_of_more_names_than_faces_the_first_is_served() -> None:
    found = ground([entity(0, "Ann"), entity(1, "Bob")], face(120))
    assert found["Ann"][0].source == "evidence:face"
    assert found["Bob"] == ()


def test_a_guess_stands_beside_the_person_that_is_seen() -> None:
    found = ground([entity(0, "Ann"), entity(1, "Bob")], face(120), grounder=GUESSER)
    assert found["Ann"][0].source == "evidence:face"
    assert not found["Ann"][0].guess
    assert found["Bob"] == (
        Region(RIGHT.in_pixels(ImageSize(600, 450)), 0.2, source="evidence:prior", guess=True),
    )


def test_an_ungroundable_person_takes_no_face() -> None:
    found = ground([entity(0, "Ann", shown=False), entity(1, "Bob")], face(120))
    assert found["Bob"][0].source == "evidence:face"


def test_the_same_name_twice_gets_the_same_body() -> None:
    entities = [entity(0, "Ann"), entity(1, "ann"), entity(2, "Bob")]
    found = ground(entities, face(100), face(400))
    assert found["Ann"] == found["ann"] != found["Bob"]


def test_a_jersey_name_tells_who_is_who() -> None:
    found = ground(
        [entity(0, "Lionel Messi"), entity(1, "Luis Suarez")],
        face(100),
        face(400),
        lettering("MESSI", 380, 300),
    )
    assert center(found["Luis Suarez"]) < 300 < center(found["Lionel Messi"])
    assert {found[name][0].source for name in found} == {"evidence:face"}


def test_a_face_wins_over_the_name_in_print() -> None:
    found = ground([entity(0, "Mary Shelley")], face(400), lettering("MARY SHELLEY", 20, 20))
    assert found["Mary Shelley"][0].source == "evidence:face"


def test_print_wins_where_there_is_no_face() -> None:
    found = ground([entity(0, "Mary Shelley")], lettering("MARY SHELLEY", 20, 20))
    assert found["Mary Shelley"][0].source == "evidence:lettering"
    assert found["Mary Shelley"][0].score == pytest.approx(0.95)


def test_a_person_without_a_face_is_a_body_as_it_is() -> None:
    (region,) = ground([entity(0, "Ann")], person(300))["Ann"]
    assert (region.source, region.box) == ("evidence:person", person(300).box)


def test_a_person_found_twice_is_one_body() -> None:
    found = ground([entity(0, "Ann"), entity(1, "Bob")], face(310, 40), person(290))
    assert found["Ann"][0].box == person(290).box
    assert found["Bob"] == ()


def test_a_face_that_no_person_box_holds_is_a_second_person() -> None:
    found = ground([entity(0, "Ann"), entity(1, "Bob")], face(110, 40), face(430, 40), person(90))
    assert [found[name][0].source for name in ("Ann", "Bob")] == [
        "evidence:person",
        "evidence:face",
    ]


@pytest.mark.parametrize(("least_share", "count"), [(0.02, 0), (0.01, 1)])
def test_people_that_fill_too_little_of_the_image_do_not_count(
    least_share: float, count: int
) -> None:
    audience = [person(x, 50, 80) for x in range(0, 600, 60)]  # 1.5 % of the image each
    grounder = EvidenceGrounder(PRIORS, least_share=least_share)
    assert len(ground([entity(0, "Ann")], *audience, grounder=grounder)["Ann"]) == count


@pytest.mark.slow
def test_an_audience_does_not_take_the_place_of_the_name_on_the_slide() -> None:
    slide = shipped("data", "quickstart", "images", "qs07-slide.jpg")
    entities = load_system("quickstart").predict(text="Grace Hopper at PyCon", image=slide).entities
    (regions,) = [one.regions or () for one in entities or () if one.text == "Grace Hopper"]
    assert [region.source for region in regions] == ["evidence:lettering"]


@pytest.mark.parametrize("label", ["PER", "ORG", "OTHER", "animal"])
def test_nothing_that_supports_a_box_means_no_box(label: str) -> None:
    assert ground([entity(0, "Ann", label)], thing("chair", 50), lettering("Bob", 9, 9)) == {
        "Ann": ()
    }


def pet(text: str, label: str = "PER") -> Sample:
    """A sample whose only entity is Rex."""
    tokens = tuple(text.split())
    at = tokens.index("Rex")
    rex = Entity("e0", "Rex", label, Span(at, at + 1))
    return replace(sample([rex], []), text=text, tokens=tokens)


@pytest.mark.parametrize(
    ("text", "label", "is_dog"),
    [
        ("my dog Rex", "PER", True),
        ("Rex the dog", "ORG", True),
        ("Rex , our puppy , sleeps", "PER", True),
        ("a dog named Rex", "OTHER", True),
        ("Rex with his dog", "PER", False),
        ("Rex saw a dog", "ORG", False),
        ("what a dog : Rex", "LOC", True),
        ("Rex again", "dog", True),
        ("Rex again", "animal", True),
        ("Rex again", "vehicle", False),
        ("Rex is awake , good dog", "OTHER", True),
        ("Rex is awake", "OTHER", False),
    ],
)
def test_a_thing_is_found_by_the_words_beside_its_name(text: str, label: str, is_dog: bool) -> None:
    post = replace(pet(text, label), observations=(thing("cat", 20), thing("dog", 400)))
    (answer,) = GROUNDER.ground(mentions_of(post))
    expected = Region(thing("dog", 400).box, 0.7, source="evidence:object")
    assert whole(answer) == ((expected,) if is_dog else ())


@pytest.mark.parametrize(
    ("text", "label", "is_shown"),
    [
        ("my Rex motorcycle", "ORG", True),
        ("a Rex airplane in the sky", "MISC", True),
        ("new Rex motorcycle", "ORG", True),
        ("I love Rex motorcycles", "OTHER", True),
        ("this old Rex train", "ORG", True),
        ("Rex train again", "ORG", False),
        ("the Rex train hard today", "ORG", False),
        ("Rex ship it", "OTHER", False),
        ("our Rex coach is gone", "ORG", False),
        ("Rex on a motorcycle", "ORG", False),
        ("Rex 's motorcycle", "ORG", False),
        ("a Rex cat", "OTHER", True),
        ("a Rex cat", "ORG", False),
        ("a Rex cat", "LOC", False),
        ("a Rex cat", "PER", False),
        ("a Rex motorcycle", "LOC", False),
        ("a Rex motorcycle", "PER", False),
        ("her Rex guitar", "ORG", False),
    ],
)
def test_a_word_for_a_thing_straight_after_a_name_says_what_it_names(
    text: str, label: str, is_shown: bool
) -> None:
    classes = ("motorcycle", "airplane", "train", "cat", "boat", "bus")
    seen = tuple(thing(name, 90 * at, 80) for at, name in enumerate(classes))
    post = replace(pet(text, label), observations=seen)
    if label in {"OTHER", "MISC"}:  # one more name of the kind: no class from anywhere in the text
        post = replace(post, entities=(*(post.entities or ()), entity(9, "Max", label)))
    (answer,) = GROUNDER.ground(mentions_of(post)[:1])
    assert [region.source for region in whole(answer)] == (["evidence:object"] if is_shown else [])


def test_a_caption_names_a_thing_where_no_other_name_is_meant() -> None:
    seen = (thing("bus", 300),)
    one = replace(pet("Rex at last", "OTHER"), caption="a red bus in a street", observations=seen)
    (answer,) = GROUNDER.ground(mentions_of(one))
    assert [region.source for region in whole(answer)] == ["evidence:object"]
    two = replace(one, entities=(*(one.entities or ()), entity(2, "Max", "OTHER")))
    assert [whole(answer) for answer in GROUNDER.ground(mentions_of(two))] == [(), ()]


def test_a_pet_is_not_the_person_beside_it() -> None:
    post = replace(pet("my dog Rex"), observations=(person(100), thing("dog", 400)))
    (answer,) = GROUNDER.ground(mentions_of(post))
    assert whole(answer)[0].source == "evidence:object"
    unseen = replace(post, observations=(person(100),))
    assert [whole(answer) for answer in GROUNDER.ground(mentions_of(unseen))] == [()]


def test_two_things_of_a_kind_go_from_left_to_right() -> None:
    found = ground(
        [entity(0, "Rex", "dog"), entity(1, "Max", "dog")],
        thing("dog", 400),
        thing("dog", 20, score=0.5),
    )
    assert center(found["Rex"]) < 300 < center(found["Max"])


def test_lettering_comes_before_the_thing_that_it_stands_on() -> None:
    found = ground([entity(0, "Rex", "car")], thing("car", 200), lettering("REX", 220, 220))
    assert found["Rex"][0].source == "evidence:lettering"


def test_two_people_and_nothing_seen_do_not_share_a_guess() -> None:
    found = ground([entity(0, "Ann"), entity(1, "Bob")], grounder=GUESSER)
    assert found["Ann"][0].box == WHOLE.in_pixels(ImageSize(600, 450))
    assert found["Bob"][0].box != found["Ann"][0].box
    assert found["Ann"][0].score == WHOLE.share


def test_ocr_text_gives_every_place_that_spells_a_name() -> None:
    regions = ground(
        [entity(0, "Apollo 11", "OTHER")],
        face(270),
        lettering("the lander of Apollo 11", 300, 400, 200, 15),
        lettering("APOLLO 11", 50, 50, 300, 60),
    )["Apollo 11"]
    assert [region.source for region in regions] == ["evidence:lettering"] * 2
    assert regions[0].box.height == 60


@pytest.mark.slow
def test_the_headline_of_the_newspaper_comes_first() -> None:
    newspaper = shipped("data", "quickstart", "images", "qs12-newspaper.jpg")
    system = load_system("quickstart", "entail.threshold=0.0")
    entities = system.predict(text="Kept this page , Apollo 11 !", image=newspaper).entities
    (regions,) = [one.regions or () for one in entities or () if one.text == "Apollo 11"]
    assert [region.source for region in regions] == ["evidence:lettering"] * 2
    headline, caption = (region.box for region in regions)
    assert headline.height > 2 * caption.height
    assert headline.y_max < caption.y_min


def test_part_of_a_word_is_no_spelling() -> None:
    assert ground([entity(0, "CITY", "ORG")], lettering("CITYSTADIUM", 50, 50))["CITY"] == ()


def test_a_guess_is_the_best_box_of_the_type() -> None:
    (region,) = ground([entity(0, "CITY", "ORG")], grounder=GUESSER)["CITY"]
    assert region.box == LOGO.in_pixels(ImageSize(600, 450))
    assert region.guess


def test_an_unknown_type_has_the_prior_of_all() -> None:
    (region,) = ground([entity(0, "Rex", "animal")], grounder=GUESSER)["Rex"]
    assert region.box == WHOLE.in_pixels(ImageSize(600, 450))


def test_a_mention_is_answered_alone_as_in_a_batch() -> None:
    entities = [entity(0, "Ann"), entity(1, "Bob"), entity(2, "NASA", "ORG"), entity(3, "Cy")]
    post = sample(entities, [face(100), face(400), lettering("NASA", 50, 400)])
    other = replace(post, id="t", observations=(face(250),))
    mentions = [Mention(one, who) for one in (post, other) for who in entities]
    together = GROUNDER.ground(mentions)
    assert together == [GROUNDER.ground([mention])[0] for mention in mentions]
    assert together == GROUNDER.ground(mentions)
    assert list(GROUNDER.ground([])) == []


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"observations": None}, "no-observations"),
        ({"image": ImageRef("p.jpg")}, "no-picture-size"),
    ],
)
def test_what_is_lacking_is_an_issue(change: dict[str, Any], kind: str) -> None:
    post = replace(sample([entity(0, "Ann")], []), **change)
    (issue,) = GROUNDER.ground([Mention(post, entity(0, "Ann"))])
    assert isinstance(issue, Issue)
    assert (issue.stage, issue.entity_id, issue.kind) == ("ground", "e0", kind)


def test_every_box_lies_in_the_image() -> None:
    found = ground(
        [entity(0, "Ann"), entity(1, "Bob"), entity(2, "NASA", "ORG")],
        face(0, 90, 380),
        face(580, 20, 0),
        lettering("NASA", 540, 430, 60, 20),
        grounder=GUESSER,
    )
    for regions in found.values():
        for region in regions:
            assert 0 <= region.box.x_min < region.box.x_max <= 600
            assert 0 <= region.box.y_min < region.box.y_max <= 450
            assert region.score is not None
            assert 0 <= region.score <= 1


def test_the_shipped_prior_serves(tmp_path: Path) -> None:
    config = EvidenceGrounderConfig(prior="guess")
    grounder = config.build(BuildContext(ImageLoader([tmp_path]), tmp_path))
    post = sample([entity(0, "Ann")], [])
    (answer,) = grounder.ground(mentions_of(post))
    assert whole(answer)[0].source == "evidence:prior"
    assert whole(answer)[0].guess
    assert config.contents(tmp_path)["prior"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot be read"),
        ("{}", "boxes"),
        ('{"boxes": {}, "reaches": [2.5]}', "needs boxes for"),
        ('{"boxes": {"*": []}, "reaches": [2.5]}', "no empty list"),
        ("nonsense", "not a box prior file"),
    ],
)
def test_a_bad_prior_file_is_one_clear_line(tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / "prior.json").write_text(text)
    with pytest.raises(UserError, match=message) as caught:
        read_box_priors(tmp_path / "prior.json")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("threshold", "kept"),
    [
        (0.0, {"Ann": 1, "Acme": 1}),
        (0.1, {"Ann": 1, "Acme": 1}),  # the prior of ORG scores just that
        (0.11, {"Ann": 1, "Acme": 0}),
        (0.8, {"Ann": 1, "Acme": 0}),
        (0.81, {"Ann": 0, "Acme": 0}),
    ],
)
def test_regions_below_the_threshold_are_dropped(threshold: float, kept: dict[str, int]) -> None:
    entities = [entity(0, "Ann"), entity(1, "Acme", "ORG")]
    post = sample(entities, [face(270, score=0.8)])
    grounder = EvidenceGrounder(PRIORS, prior="guess", threshold=threshold)
    answers = grounder.ground([Mention(post, one) for one in entities])
    found = {one.text: len(whole(answer)) for one, answer in zip(entities, answers, strict=True)}
    assert found == kept


def test_a_dropped_region_frees_no_body_for_others() -> None:
    entities = [entity(0, "Ann"), entity(1, "Bea")]
    post = sample(entities, [face(100, score=0.3), face(400, score=0.9)])
    mentions = [Mention(post, one) for one in entities]
    everything = EvidenceGrounder(PRIORS).ground(mentions)
    assert list(EvidenceGrounder(PRIORS, threshold=0.5).ground(mentions)) == [(), everything[1]]
