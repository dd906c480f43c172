from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from helpers.factories import make_sample
from helpers.hostile_tokens import HOSTILE, has_text
from helpers.small_runs import write_run
from hypothesis import given, settings
from hypothesis import strategies as st

from riveg.errors import UserError
from riveg.evaluation.cases import PredictedEntity
from riveg.evaluation.foreign import read_foreign
from riveg.exports.smner import export_smner
from riveg.text.tokenise import join_tokens
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
    single, last = "SE" if scheme == "bioes" else "UL"
    if length == 1:
        return [f"{single}-{label}"]
    return [f"B-{label}", *[f"I-{label}"] * (length - 2), f"{last}-{label}"]


@pytest.mark.slow  # seconds
@given(
    sentences=st.lists(SENTENCE, min_size=1),
    scheme=st.sampled_from(["bio", "bioes", "bilou"]),
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
        ("a\tE-ORG\nb\tU-ORG\n", r"pred\.txt:2: 'U-ORG', and 'E-ORG' of line 1", "two schemes"),
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


@pytest.mark.parametrize(
    ("tags", "spans", "notes"),
    [
        ("B-PER I-PER O B-LOC", [(0, 2), (3, 4)], []),
        ("B-PER E-PER O S-LOC", [(0, 2), (3, 4)], ["its tags are read as BIOES"]),
        ("B-PER L-PER O U-LOC", [(0, 2), (3, 4)], ["its tags are read as BILOU"]),
        ("I-PER B-PER O I-LOC", [(0, 1), (1, 2), (3, 4)], ["its tags are read as IOB1"]),
        (
            "B-PER I-LOC O I-LOC",
            [(0, 1), (1, 2), (3, 4)],
            ["2 tags are not where BIO has them; each opens or ends an entity"],
        ),
    ],
)
def test_schemes_and_what_is_irregular_are_told(
    tmp_path: Path, tags: str, spans: list[tuple[int, int]], notes: list[str]
) -> None:
    path = tmp_path / "pred.txt"
    path.write_text("-DOCSTART-\tO\n\nIMGID:1\n" + "".join(f"w\t{tag}\n" for tag in tags.split()))
    file = read_foreign(path, "conll")
    (sample,) = file.samples
    assert [(one.span.start, one.span.end) for one in sample.predicted if one.span] == spans
    assert sample.tokens == 4
    assert [*file.notes] == notes


def test_a_scheme_is_named(tmp_path: Path) -> None:
    path = tmp_path / "pred.txt"
    path.write_text("IMGID:1\nAnn\tI-PER\nLee\tI-PER\n")
    (note,) = read_foreign(path, "conll").notes
    assert note.endswith("each opens or ends an entity (if they are IOB1: --scheme iob1)")
    named = read_foreign(path, "conll", scheme="iob1")
    assert named.notes == ("its tags are read as IOB1",)
    path.write_text("IMGID:1\nAnn\tS-PER\n")
    with pytest.raises(UserError, match="'S-PER' is no tag of the named scheme bilou"):
        read_foreign(path, "conll", scheme="bilou")
    with pytest.raises(UserError, match="only the format conll has tags"):
        read_foreign(path, "tiger", scheme="bilou")


@pytest.mark.slow  # seconds
@settings(max_examples=60, deadline=None)
@given(
    posts=st.lists(
        st.lists(st.tuples(HOSTILE.filter(lambda token: token != "<EOS>"), st.booleans())).filter(
            lambda rows: has_text(token for token, _ in rows)
        ),
        min_size=1,
        max_size=3,
    )
)
def test_an_exported_sentence_is_read_to_the_entities_of_its_record(
    posts: list[list[tuple[str, bool]]],
) -> None:
    samples = []
    for number, rows in enumerate(posts):
        tokens = [token for token, _ in rows]
        spans = [(at, at + 1, "PER") for at, (_, is_entity) in enumerate(rows) if is_entity]
        text, offsets = join_tokens(tokens)
        sample = make_sample("x " * len(tokens), spans, id=f"s{number}")
        samples.append(replace(sample, text=text, tokens=tuple(tokens), offsets=offsets))
    with TemporaryDirectory() as folder:
        source, out = write_run(Path(folder), samples), Path(folder) / "out"
        out.mkdir()
        export_smner(source, out)
        file = read_foreign(out / "predicted.conll", "conll")
    assert [(one.sample_id, one.tokens) for one in file.samples] == [
        (one.id, len(one.tokens)) for one in samples
    ]
    assert [[entity.span for entity in one.predicted] for one in file.samples] == [
        [entity.span for entity in one.entities or ()] for one in samples
    ]
