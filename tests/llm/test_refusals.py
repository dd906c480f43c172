"""Refusals are known in many words and languages; titles and phrases that look like one are not."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riveg.llm.answer_marks import without_markup
from riveg.llm.answer_text import phrase_of, text_of
from riveg.llm.conversation import Refused
from riveg.llm.refusals import goes_on_to_refuse, is_no_answer, refuses

REFUSALS = """
I'm sorry, I can't identify the person.
I\u2019m sorry, but I cannot help with that.
I am sorry, I can't help with identifying people.
I'm sorry.
Sorry, but I cannot identify real people.
Sorry, I can't do that.
Sorry, this image is not available
As an AI, I cannot see images.
As an AI language model, I don't have access to the image
I'm just an AI and cannot see
I cannot help with identifying people
I can't assist with that request.
I'm unable to identify the person in the image.
I am not able to see the image
I don't know who this is.
I do not have enough information to describe this
I cannot identify real people based on their appearance.
I can\u2019t determine the identity of the person.
I won't identify the person
We cannot identify
I can't see the image.
I would rather not say
I must decline
I cannot fulfill this request
Unfortunately, I can't identify
I apologize, but I can't
Thank you for the image. I cannot identify anybody
Lo siento, no puedo identificar a la persona.
No puedo ayudar con eso
Je suis d\u00e9sol\u00e9, mais je ne peux pas identifier cette personne
Je ne peux pas identifier cette personne
Es tut mir leid, ich kann die Person nicht identifizieren.
Ich kann diese Person leider nicht erkennen
Leider kann ich das nicht
Desculpe, n\u00e3o posso identificar
Mi dispiace, ma non posso identificare
\u975e\u5e38\u62b1\u6b49\uff0c\u6211\u65e0\u6cd5\u8bc6\u522b\u56fe\u7247\u4e2d\u7684\u4eba\u3002
\u6211\u65e0\u6cd5\u8bc6\u522b
\u7533\u3057\u8a33\u3042\u308a\u307e\u305b\u3093\u304c\u3001\u7279\u5b9a\u3067\u304d\u307e\u305b\u3093
\uc8c4\uc1a1\ud558\uc9c0\ub9cc \uc2dd\ubcc4\ud560 \uc218 \uc5c6\uc2b5\ub2c8\ub2e4.
\u0418\u0437\u0432\u0438\u043d\u0438\u0442\u0435, \u044f \u043d\u0435 \u043c\u043e\u0433\u0443
\u0639\u0630\u0631\u0627\u064b\u060c \u0644\u0627 \u0623\u0633\u062a\u0637\u064a\u0639
""".strip().splitlines()

NOTHINGS = """
N/A
n/a.
"N/A"
**N/A**
(none)
None
Unknown.
Not visible
Not visible in the image
Not applicable
not available
No description available
No image provided
No image
Cannot be determined
Cannot determine from the image
Unable to determine
The image does not show Ann Lee
Ann Lee is not visible in the image.
The person cannot be identified
It is not possible to identify the person
There is no information about this person.
Identity unknown
-
...
?
inconnu
unbekannt
desconocido
\u672a\u77e5
\u4e0d\u660e
\uc54c \uc218 \uc5c6\uc74c
\u043d\u0435\u0438\u0437\u0432\u0435\u0441\u0442\u043d\u043e
Nicht sichtbar
Non visible sur l'image
""".strip().splitlines()

ANSWERS = """
a man who looks sorry
Sorry, a poster by Beyonce
I'm Sorry album cover by Brenda Lee
Can't Stop the Feeling album cover
Can't Help Falling in Love single
I can't breathe protest sign
We Can't Stop video
I Don't Care music video
I, Robot poster
a person who cannot be seen clearly behind glass
a sign that says I'm sorry, I can't come
None of Us book cover
Unknown Pleasures album cover
the unknown soldier's tomb
No Country for Old Men poster
No Doubt, an American rock band
nothing but a black screen
a man not looking at the camera
No smoking sign
Not Afraid single cover by Eminem
a ghost, not visible in the mirror
an invisible man in a coat
As an astronaut, a man floats
A man whose face is not visible stands beside a car
A person's face is not visible because of a mask
The image shows a dog
Lo Siento single cover by Beret
Leider geil music video
Nada Surf, an American rock band
no logo visible but a swoosh
No. 10 Downing Street
Apologies album
""".strip().splitlines()


@pytest.mark.parametrize("text", REFUSALS)
def test_refusals(text: str) -> None:
    assert refuses(text)
    assert is_no_answer(text)


@pytest.mark.parametrize("text", NOTHINGS)
def test_answers_that_say_nothing(text: str) -> None:
    assert is_no_answer(text)


@pytest.mark.parametrize("text", ANSWERS)
def test_what_only_looks_like_a_refusal(text: str) -> None:
    assert not is_no_answer(text)
    assert not goes_on_to_refuse(text)


@pytest.mark.parametrize("text", [*REFUSALS, *NOTHINGS[1:]])
@pytest.mark.parametrize("wrapping", ["{}", "**{}**", '"{}"', "- {}", "<answer>{}</answer>"])
def test_no_refusal_becomes_a_phrase_or_knowledge(text: str, wrapping: str) -> None:
    if text in {"-", "...", "?"}:
        return  # nothing is left of these, and that is told as such
    for read in (phrase_of, text_of):
        with pytest.raises(Refused, match="it is a refusal"):
            read(wrapping.format(text), "it", 400)


def test_a_phrase_may_not_end_in_a_refusal() -> None:
    words = "a person in a suit, but I cannot identify them"
    with pytest.raises(Refused):
        phrase_of(words, "the phrase", 120)
    assert text_of(words, "the caption", 120) == words


@given(st.text(max_size=60))
def test_words_behind_a_thing_are_never_a_refusal(text: str) -> None:
    assert not refuses(f"a ball {text}") or "\u3067\u304d" in text


def published_texts(folder: Path) -> Iterator[str]:
    """The captions and the knowledge that were released for Twitter-GMNER, train and dev."""
    for name in ("BLIP2_15", "BLIP2_17"):
        for line in (folder / f"captions/{name}.txt").read_text(encoding="utf-8").splitlines():
            yield line.partition(" :")[2]
    for name in ("dev", "train"):
        text = (folder / f"captions/owl{name}caption_1.txt").read_text(encoding="utf-8")
        for piece in re.split(r"(?m)^imgid:", text)[1:]:
            yield piece.partition("###")[2]
    for name in ("train", "valid"):
        text = (folder / f"knowledge/{name}.txt").read_text(encoding="utf-8")
        for block in text.split("\n\n"):
            tokens = [line.split("\t")[0] for line in block.splitlines()]
            if "<EOS>" in tokens:
                yield " ".join(tokens[tokens.index("<EOS>") + 1 :])


def test_no_published_caption_or_knowledge_is_taken_for_a_refusal() -> None:
    data = os.environ.get("RIVEG_TEST_DATA")
    if not data:
        pytest.skip("RIVEG_TEST_DATA does not name the folder with Twitter-GMNER")
    texts = list(published_texts(Path(data) / "twitter-gmner-v2"))
    assert len(texts) == 30_105
    assert [text for text in texts if is_no_answer(text) or goes_on_to_refuse(text)] == []
    assert [text for text in texts if without_markup(text) != text.strip()] == []


def test_long_texts_cost_little() -> None:
    started = time.monotonic()
    for piece in ("I'm sorry ", "ich kann ", "the ", "no ", "a. ", "but i ", "\u7279\u5b9a"):
        is_no_answer(piece * 20_000)
        goes_on_to_refuse(piece * 20_000)
    assert time.monotonic() - started < 10
