from __future__ import annotations

import pytest
from helpers.answers import whole
from helpers.contracts import check_backend
from helpers.factories import make_context, make_sample

from riveg.formats.records import decode, encode
from riveg.runs.sources import make_sample as from_raw_text
from riveg.stages.table import TAG
from riveg.stages.taggers.phrases import PhraseTagger, PhraseTaggerConfig
from riveg.types import Sample, Span


def phrases(text: str) -> list[str]:
    sample = from_raw_text(text, id="1")
    other = from_raw_text("another. post", id="2")
    entities, _ = check_backend(TAG, PhraseTagger(), [sample, other])
    return [entity.text for entity in whole(entities)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        pytest.param("a cat. two dogs. sign", ["a cat", "two dogs", "sign"], id="the convention"),
        pytest.param("a cat. two dogs. sign.", ["a cat", "two dogs", "sign"], id="a last stop"),
        pytest.param("a cat", ["a cat"], id="one phrase"),
        pytest.param(" . a cat ... sign . ", ["a cat", "sign"], id="empty phrases"),
        pytest.param("...", [], id="nothing but stops"),
        pytest.param("a cat. A cat. a cat", ["a cat", "A cat", "a cat"], id="the same again"),
        pytest.param("a cat.sign", ["a cat", "sign"], id="no blank"),
        pytest.param("a 3.5 inch disk. t.co", ["a 3.5 inch disk", "t", "co"], id="numbers"),
        pytest.param("the  red\ncar, parked. 犬", ["the  red\ncar, parked", "犬"], id="as written"),
    ],
)
def test_phrases_of_a_caption(text: str, found: list[str]) -> None:
    assert phrases(text) == found


def test_spans_ids_and_offsets() -> None:
    sample = from_raw_text("a cat. two dogs. a cat.", id="1")
    (answer,) = PhraseTagger("thing").tag([sample])
    entities = whole(answer)
    assert [(one.id, one.span, one.label) for one in entities] == [
        ("e0", Span(0, 2), "thing"),
        ("e1", Span(3, 5), "thing"),
        ("e2", Span(6, 8), "thing"),
    ]
    assert entities[0].score is None


def test_tokens_that_came_ready_made() -> None:
    sample = make_sample("a cat . U.S. flag", id="1")
    tagger = PhraseTaggerConfig().build(make_context())
    entities = whole(tagger.tag([sample])[0])
    assert [one.text for one in entities] == ["a cat", "U.S. flag"]
    assert {one.label for one in entities} == {"PHRASE"}


def test_records_keep_them() -> None:
    sample = from_raw_text("a cat. sign", id="1")
    entities = whole(PhraseTagger().tag([sample])[0])
    record = Sample(sample.id, sample.text, sample.tokens, sample.offsets, entities=entities)
    assert decode(Sample, encode(record)) == record
