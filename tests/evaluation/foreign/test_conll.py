from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riveg.errors import UserError
from riveg.evaluation.cases import PredictedEntity
from riveg.evaluation.foreign import read_foreign
from riveg.types import Span

TOKEN = st.text(st.characters(categories=["L", "N", "P"]), min_size=1)
PIECE = st.tuples(st.lists(TOKEN, min_size=1, max_size=3), st.sampled_from([None, "PER", "LOC"]))
SENTENCE = st.lists(PIECE, min_size=1, max_size=4)


Piece = tuple[list[str], str | None]
"""Tokens, and the label of the entity that they are."""


def tags_of(length: int, label: str | None, scheme: str) -> list[str]:
    if label is None:
        return ["O"] * length
    if scheme == "bio":
        return [f"B-{label}"] + [f"I-{label}"] * (length - 1)
    if length == 1:
        return [f"S-{label}"]
    return [f"B-{label}", *[f"I-{label}"] * (length - 2), f"E-{label}"]


@pytest.mark.slow  # seconds
@given(
    sentences=st.lists(SENTENCE, min_size=1),
    scheme=st.sampled_from(["bio", "bioes"]),
    gold=st.booleans(),
    ids=st.booleans(),
)
def test_a_written_file_is_read_again(
    tmp_path_factory: pytest.TempPathFactory,
    sentences: list[list[Piece]],
    scheme: str,
    gold: bool,
    ids: bool,
) -> None:
    text, wanted = "", []
    for number, sentence in enumerate(sentences):
        text += f"IMGID:O_{number}\n" if ids else ""
        found, position = [], 0
        for tokens, label in sentence:
            for token, tag in zip(tokens, tags_of(len(tokens), label, scheme), strict=True):
                text += "\t".join([token, *(["O"] if gold else []), tag]) + "\n"
            end = position + len(tokens)
            if label:
                found.append(PredictedEntity(" ".join(tokens), label, Span(position, end)))
            position = end
        wanted.append((f"O_{number}" if ids else None, tuple(found)))
        text += "\n"
    path = tmp_path_factory.mktemp("conll") / "pred.txt"
    path.write_text(text, encoding="utf-8")
    file = read_foreign(path, "conll")
    assert [(sample.sample_id, sample.predicted) for sample in file.samples] == wanted
    assert file.by_order is not ids
    assert file.detail == "tags"


def test_what_is_predicted_behind_the_sample_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "pred.txt"
    rows = ["NASA\tB-ORG\tS-ORG", "<EOS>\tX\tO", "Ann\tX\tB-PER", "Lee\tX\tE-PER", "of\tX\tX"]
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    file = read_foreign(path, "conll")
    assert file.samples[0].predicted == (PredictedEntity("NASA", "ORG", Span(0, 1)),)
    assert file.notes[-1] == "1 entity was predicted behind <EOS>, outside of the post: left out"


@pytest.mark.parametrize(
    ("text", "message", "reason"),
    [
        ("IMGID:1\nNASA\tORG\n", r"pred\.txt:2: expected a tag", "no prefix"),
        ("a\tO\nb\tM-ORG\n", r"pred\.txt:2: expected a tag", "another scheme"),
        ("NASA B-ORG\n", r"pred\.txt:1: expected at least 2 tab", "blanks for tabs"),
        ("IMGID:1\na\tO\n\nb\tO\n", r"pred\.txt:4: either every", "an id is missing"),
        ("IMGID:1\na\tO\n\nIMGID:1\nb\tO\n", r"pred\.txt:4: the id '1' stands in line 1", "twice"),
    ],
)
def test_malformed_files(tmp_path: Path, text: str, message: str, reason: str) -> None:
    path = tmp_path / "pred.txt"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=message):
        read_foreign(path, "conll")
