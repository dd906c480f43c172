from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riveg.evaluation.cases import PredictedEntity
from riveg.evaluation.foreign import read_foreign
from riveg.evaluation.foreign.tiger import parse_sentence

NAME = st.text(st.characters(categories=["L", "N"]), min_size=1)
ENTITY = st.tuples(NAME, st.sampled_from(["city", "sports_team"]), st.booleans(), st.booleans())


Named = tuple[str, str, bool, bool]
"""Name, label, whether the image shows it, whether the label is fine."""


def sentence_of(name: str, label: str, shown: bool, fine: bool) -> str:
    kinds = f"coarse and a {label}" if fine else label
    return f"{name} is a {kinds}, which is{'' if shown else ' not'} in the image"


def predicted_of(name: str, label: str, shown: bool, fine: bool) -> PredictedEntity:
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
    assert file.detail == "groundability"
    assert len(file.notes) == 1


@pytest.mark.parametrize(
    ("sentence", "reason"),
    [
        ("", "nothing"),
        ("Rome", "a name"),
        ("Rome is a city", "no place"),
        ("Rome is a city, which is in the picture", "no such place"),
        ("This is a Test is a product and a game, which is in the image", "a name with a mark"),
        ("Law and a Half is a art and a music, which", "no end"),
        ("X is a location and a city and a town, which is in the image", "three kinds"),
        (" is a location, which is in the image", "no name"),
    ],
)
def test_sentences_that_cannot_be_read(sentence: str, reason: str) -> None:
    assert parse_sentence(sentence) is None, reason


def test_unreadable_sentences_are_counted_and_their_line_stays(tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    path.write_text("Rome is a city, which is in the image [SSEP] oh\n\nah\n", encoding="utf-8")
    file = read_foreign(path, "tiger")
    assert [len(sample.predicted) for sample in file.samples] == [1, 0, 0]
    assert file.notes[1] == f"2 sentences cannot be read and give no entity (first: {path}:1)"
