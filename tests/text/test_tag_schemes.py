"""Tags of any scheme: recognised from a whole file, and read to the same entities."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riveg.errors import UserError
from riveg.text.tag_schemes import SCHEMES, TagEvidence, TagScheme, as_bio, scheme_named
from riveg.types import Span

FILE = Path("pred.txt")

Piece = tuple[str, int]
"""A label, or "" outside of entities, and a number of tokens."""

SENTENCES = st.lists(
    st.lists(st.tuples(st.sampled_from(["", "PER", "GEO-LOC"]), st.integers(1, 4)), min_size=1),
    min_size=1,
)


def spans_of(pieces: list[Piece]) -> tuple[tuple[Span, str], ...]:
    found, position = [], 0
    for label, length in pieces:
        if label:
            found.append((Span(position, position + length), label))
        position += length
    return tuple(found)


def written(pieces: list[Piece], scheme: str) -> list[str]:
    """The pieces as tags, by what is published of each scheme."""
    tags: list[str] = []
    for label, length in pieces:
        letters = "I" * length
        if not label:
            tags += ["O"] * length
            continue
        if scheme == "iob1" and not (tags and tags[-1][1:] == f"-{label}"):
            pass
        elif length == 1 and scheme not in {"bio", "iob1"}:
            letters = "U" if scheme == "bilou" else "S"
        else:
            letters = "B" + letters[1:]
            if scheme in {"bioes", "bmes", "bilou"}:
                letters = letters[:-1] + ("L" if scheme == "bilou" else "E")
            if scheme == "bmes":
                letters = letters.replace("I", "M")
        tags += [f"{letter}-{label}" for letter in letters]
    return tags


def recognised(*sentences: str, named: TagScheme | None = None) -> TagScheme:
    evidence, line = TagEvidence(), 1
    for sentence in sentences:
        tags = sentence.split()
        evidence.add(tags, range(line, line + len(tags)))
        line += len(tags) + 1
    return evidence.scheme(FILE, named)


@given(SENTENCES, st.sampled_from([*SCHEMES]))
def test_what_is_written_in_any_scheme_is_read_to_the_same_entities(
    sentences: list[list[Piece]], name: str
) -> None:
    tags = [written(pieces, name) for pieces in sentences]
    scheme = SCHEMES[name]
    for pieces, sentence in zip(sentences, tags, strict=True):
        assert scheme.spans(sentence) == spans_of(pieces)
        assert [*scheme.irregular(sentence)] == []
    # Which one is recognised may be open for few tags; the entities are not.
    found = recognised(*(" ".join(sentence) for sentence in tags))
    assert [found.spans(one) for one in tags] == [scheme.spans(one) for one in tags]


@pytest.mark.parametrize(
    ("sentences", "name"),
    [
        (["B-PER I-PER O", "B-LOC"], "bio"),
        (["O O"], "bio"),
        (["B-PER B-PER"], "bio"),
        (["B-PER I-PER O I-LOC"], "bio"),  # a stray I-, as in version 1 of Twitter-GMNER
        (["I-PER I-PER O"], "bio"),  # perhaps IOB1, but nothing shows it
        (["I-PER B-PER I-PER O"], "iob1"),
        (["I-PER B-PER", "O I-LOC"], "iob1"),
        (["I-PER B-PER", "B-LOC"], "bio"),
        (["B-PER I-PER S-LOC"], "bios"),
        (["B-PER E-PER S-LOC"], "bioes"),
        (["B-PER I-PER L-PER U-LOC"], "bilou"),
        (["U-LOC"], "bilou"),
        (["B-PER M-PER E-PER S-LOC"], "bmes"),
        (["B-PER PER"], "bio"),  # one that is none: a defect of its line
    ],
)
def test_the_whole_file_says_the_scheme(sentences: list[str], name: str) -> None:
    assert recognised(*sentences).name == name


@pytest.mark.parametrize(
    ("sentences", "message"),
    [
        (["B-PER E-PER", "U-LOC"], r"pred\.txt:4: 'U-LOC', and 'E-PER' of line 2, are tags of two"),
        (["B-PER I-PER M-PER E-PER"], "'M-PER', and 'I-PER' of line 2, are tags of two schemes"),
        (["O PER", "LOC"], r"pred\.txt:2: expected a tag such as O, B-PER, I-PER, found 'PER'"),
        (["O M-PER"], r"pred\.txt:2: expected a tag such as"),
    ],
)
def test_files_of_no_one_scheme_are_refused(sentences: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        recognised(*sentences)


def test_a_named_scheme_holds_for_all_tags() -> None:
    assert recognised("I-PER I-PER", named=scheme_named("IOB1")).name == "iob1"
    assert [*SCHEMES["iob1"].irregular(["I-PER", "I-PER"])] == []
    with pytest.raises(UserError, match=r"pred\.txt:2: 'E-PER' is no tag of the named scheme bio"):
        recognised("B-PER E-PER", named=SCHEMES["bio"])
    with pytest.raises(UserError, match="no tag scheme 'biloo'; did you mean bilou"):
        scheme_named("biloo")


@pytest.mark.parametrize(
    ("scheme", "tags", "spans", "irregular"),
    [
        ("bio", "O I-PER I-PER", [(1, 3)], [(1, "orphan-i")]),
        ("bio", "B-PER I-LOC", [(0, 1), (1, 2)], [(1, "orphan-i")]),
        ("bioes", "B-PER E-PER E-PER", [(0, 2), (2, 3)], [(2, "orphan-i")]),
        ("bioes", "B-PER I-PER O", [(0, 2)], [(1, "open-entity")]),
        ("bioes", "S-PER I-PER", [(0, 1), (1, 2)], [(1, "orphan-i"), (1, "open-entity")]),
        ("bilou", "U-PER L-PER", [(0, 1), (1, 2)], [(1, "orphan-i")]),
        ("bilou", "B-PER", [(0, 1)], [(0, "open-entity")]),
        ("bios", "B-PER I-PER O", [(0, 2)], []),
    ],
)  # fmt: skip
def test_what_is_irregular_is_read_by_one_rule_and_told(
    scheme: str, tags: str, spans: list[tuple[int, int]], irregular: list[tuple[int, str]]
) -> None:
    found = SCHEMES[scheme]
    assert [(span.start, span.end) for span, _ in found.spans(tags.split())] == spans
    assert [tuple(one) for one in found.irregular(tags.split())] == irregular


def test_what_is_no_tag_is_outside() -> None:
    assert as_bio(["B-PER", "PER", "I-PER", "[SEP]", "b-per", ""]) == [
        "B-PER", "O", "B-PER", "O", "O", "O"
    ]  # fmt: skip
