from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riveg.errors import UserError
from riveg.evaluation.cases import AnnotatedEntity, PredictedEntity
from riveg.evaluation.evaluate import EvaluationOptions, evaluate
from riveg.evaluation.foreign import read_foreign, sniff
from riveg.evaluation.foreign.tiger import parse_sentence
from riveg.evaluation.gold import GoldSample, gold_set
from riveg.evaluation.reading import open_predictions
from riveg.types import Box

NAME = st.text(st.characters(categories=["L", "N"]), min_size=1)
ENTITY = st.tuples(NAME, st.sampled_from(["city", "sports_team"]), st.booleans())


Named = tuple[str, str, bool]
"""Name, label, whether the image shows it."""


def sentence_of(name: str, label: str, shown: bool) -> str:
    return f"{name} is a coarse and a {label}, which is{'' if shown else ' not'} in the image"


def predicted_of(name: str, label: str, shown: bool) -> PredictedEntity:
    return PredictedEntity(name, label, groundable=shown, regions=None if shown else ())


@pytest.mark.slow  # seconds
@given(st.lists(st.lists(ENTITY)))
def test_a_written_file_is_read_again(
    tmp_path_factory: pytest.TempPathFactory, tweets: list[list[Named]]
) -> None:
    path = tmp_path_factory.mktemp("tiger") / "out.txt"
    lines = (" [SSEP] ".join(sentence_of(*entity) for entity in tweet) for tweet in tweets)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    file = read_foreign(path, "tiger")
    assert [sample.predicted for sample in file.samples] == [
        tuple(predicted_of(*entity) for entity in tweet) for tweet in tweets
    ]
    assert file.by_order
    shown = any(entity[2] for tweet in tweets for entity in tweet)
    assert file.detail == ("groundability" if shown else "regions")
    assert len(file.notes) == 1


@pytest.mark.parametrize(
    ("sentence", "reason"),
    [
        ("", "nothing"),
        ("Rome", "a name"),
        ("Rome is a city", "no place"),
        ("Rome is a city, which is in the picture", "no such place"),
        ("This is a Test is a product and a game, which is in the image", "a name with a mark"),
        ("Rome is a city, which is in the image", "one kind only"),
        ("X is a art and a music, which is out of the image", "no part of an end"),
        ("X, which is a art and a music, which is in the image", "a name with the end's mark"),
        ("X is a location and a city and a town, which is in the image", "three kinds"),
        (" is a location, which is in the image", "no name"),
    ],
)
def test_sentences_that_cannot_be_read(sentence: str, reason: str) -> None:
    assert parse_sentence(sentence) is None, reason


def test_unreadable_sentences_are_counted_and_their_line_stays(tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    readable = "Rome is a location and a city, which is in the image"
    path.write_text(f"{readable} [SSEP] oh\n\nah\n", encoding="utf-8")
    file = read_foreign(path, "tiger")
    assert [len(sample.predicted) for sample in file.samples] == [1, 0, 0]
    assert file.notes[1] == f"2 sentences cannot be read and give no entity (first: {path}:1)"


@pytest.mark.parametrize(
    ("sentence", "name", "shown", "reason"),
    [
        ("A and a B is a art and a music, which is in the image", "A and a B", True, "a name"),
        ("X is a art and a music, which i", "X", True, "any part of the end will do"),
        ("X is a art and a music, which", "X", True, "even none of it"),
        ("X is a art and a music, which is not", "X", False, "what says no"),
    ],
)
def test_sentences_that_can_be_read(sentence: str, name: str, shown: bool, reason: str) -> None:
    assert parse_sentence(sentence) == predicted_of(name, "music", shown), reason


def test_a_joint_needs_no_blanks(tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    one = "Rome is a location and a city, which is in the image"
    path.write_text(f"{one}[SSEP]{one.replace('Rome', 'Bern')}\n", encoding="utf-8")
    (sample,) = read_foreign(path, "tiger").samples
    assert [entity.text for entity in sample.predicted] == ["Rome", "Bern"]


DUMP = """\
coarse Pred: {'Rome location True': 1}   Gold: {}
fine   Pred: {"Rome's Forum park True": 1, 'Ann musician False': None}  Gold: {'a } b': [2]}
coarse Pred: {}
fine   Pred: {'  ': 0, 'oh': 3}
fine   Pred: {'X Y city True': tensor(7), 'Z city True': [0]}
"""


def test_a_dump_tells_the_candidate(tmp_path: Path) -> None:
    path = tmp_path / "dump.txt"
    path.write_text(DUMP, encoding="utf-8")
    assert sniff(path) == "tiger"
    file = read_foreign(path, "tiger")
    assert (file.by_order, file.by_candidate) == (True, True)
    assert [sample.predicted for sample in file.samples] == [
        (
            PredictedEntity("Rome's Forum", "park", groundable=True, candidate=1),
            PredictedEntity("Ann", "musician", groundable=False, regions=()),
        ),
        (),
        (
            PredictedEntity("X Y", "city", groundable=True, candidate=7),
            PredictedEntity("Z", "city", groundable=True, candidate=0),
        ),
    ]
    assert file.notes[1] == "1 answer gives no entity (first: 'oh')"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("fine   Pred: {'Rome city True': 1", r"dump\.txt:1: expected a dictionary behind Pred:"),
        ("fine   Pred: {'Rome city True': 'x'}", r"dump\.txt:1: expected the index of a region"),
    ],
)
def test_a_damaged_dump_is_one_line(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "dump.txt"
    path.write_text(f"{line}\n", encoding="utf-8")
    with pytest.raises(UserError, match=message):
        read_foreign(path, "tiger")


def test_the_candidates_of_a_dump_are_boxes_where_they_are_known(tmp_path: Path) -> None:
    box = Box(10, 10, 50, 50)
    annotated = AnnotatedEntity("Rome", "LOC", fine_label="city", boxes=(box,))
    path = tmp_path / "dump.txt"
    path.write_text("fine   Pred: {'Rome city True': 2}\n", encoding="utf-8")
    predictions = open_predictions(path)
    options = EvaluationOptions(protocols=("canonical", "tiger"))
    gold = gold_set("posts", {"1": GoldSample((annotated,))})
    found = evaluate(predictions, gold, options)
    assert found.scores["canonical"]["gmner"] is None
    assert any("--proposals tells them" in note for note in found.notes)
    known = gold_set("posts", {"1": GoldSample((annotated,), proposals=(None, None, box))})
    found = evaluate(predictions, known, options)
    for scores in found.scores.values():
        assert scores["gmner"] is not None
        assert scores["gmner"].hits == 1
