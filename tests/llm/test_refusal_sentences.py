"""Sentences about the task are refusals in any combination; those about the world are none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riveg.llm.answer_text import phrase_of, text_of
from riveg.llm.conversation import Refused
from riveg.llm.refusal_sentences import languages
from riveg.llm.refusals import is_no_answer, refuses

LEADS = (
    "",
    "Based on the image, ",
    "Due to privacy concerns, ",
    "From the picture alone, ",
    "Looking at the photo, ",
    "After reviewing the image, ",
    "Without seeing the image, ",
    "While I understand the request, ",
    "Unfortunately, ",
    "Sorry, but ",
    "I'm sorry. ",
    "Hmm, ",
    "Thank you for the image. ",
)
FIRST_PERSONS = (
    "I cannot",
    "I can't",
    "I am unable to",
    "we could not",
    "I won't",
    "I'm not able to",
)
VERBS = ("identify", "determine", "recognise", "describe", "confirm the identity of", "verify")
OBJECTS = ("the person", "real people", "who this is", "anyone in the image", "Ann Lee")
NAMES = ("Ann Lee", "The person", "Kevin Durant", "The entity", "NASA", "The man with Ann Lee")
UNSEEN = (
    "is not visible",
    "is not shown",
    "cannot be seen",
    "isn't depicted",
    "does not appear",
    "could not be identified",
    "not visible",
    "was not found",
)
IMAGES = ("the image", "this picture", "the provided photo", "the post")

REFUSED = """
None (not visible)
N/A (not visible)
None - abstract concept
None, the entity is abstract
Sorry.
Please provide the image.
Please upload an image.
Could you share the photo so I can describe it?
It looks like no image was attached.
The image cannot be displayed.
Error: image not found
Cannot comply
Description not available
Identity cannot be confirmed
I see no one named Ann Lee
I'm not sure who this is.
My guidelines prevent me from identifying people.
This request violates the policy
As a text-only model, I cannot see images.
a person I cannot identify
Although I cannot identify the person, it is a man
{}
[]
NaN
No s\u00e9
Ann Lee no aparece en la imagen.
Navr\u00e9, je ne peux pas
Ann Lee n'est pas visible sur la photo.
Ich wei\u00df nicht
Ann Lee ist auf dem Bild nicht zu sehen.
Ich sehe auf dem Bild keine Ann Lee.
N\u00e3o consigo ver a imagem.
Non lo so
Ik weet het niet
Jag \u00e4r ledsen, men jag kan inte
Undskyld, men jeg kan ikke
Nie wiem
Omlouv\u00e1m se, ale
Sajn\u00e1lom, nem tudom
\u00cemi pare r\u0103u, nu pot
\u041d\u0435 \u0437\u043d\u0430\u044e
\u041d\u0430 \u0436\u0430\u043b\u044c, \u043d\u0435 \u043c\u043e\u0436\u0443
\u0421\u044a\u0436\u0430\u043b\u044f\u0432\u0430\u043c
\u0394\u03b5\u03bd \u03c6\u03b1\u03af\u03bd\u03b5\u03c4\u03b1\u03b9
Ei n\u00e4y kuvassa
Bilmiyorum
Maaf, saya tidak dapat mengidentifikasi orang ini.
T\u00f4i kh\u00f4ng bi\u1ebft
\u4e0d\u5728\u56fe\u7247\u4e2d
\u56fe\u7247\u4e2d\u6ca1\u6709\u674e\u660e\u3002
\u56fe\u4e2d\u770b\u4e0d\u5230\u674e\u660e
\u753b\u50cf\u306b\u8868\u793a\u3055\u308c\u3066\u3044\u307e\u305b\u3093
\u30a2\u30f3\u30fb\u30ea\u30fc\u306f\u753b\u50cf\u306b\u5199\u3063\u3066\u3044\u307e\u305b\u3093\u3002
\uc2dd\ubcc4 \ubd88\uac00
\u0e44\u0e21\u0e48\u0e1b\u0e23\u0e32\u0e01\u0e0f\u0e43\u0e19\u0e20\u0e32\u0e1e
\u0e44\u0e21\u0e48\u0e21\u0e35\u0e23\u0e39\u0e1b\u0e20\u0e32\u0e1e
\u0644\u0627 \u064a\u0638\u0647\u0631 \u0641\u064a \u0627\u0644\u0635\u0648\u0631\u0629
\u0646\u0645\u06cc\u200c\u062f\u0627\u0646\u0645
\u05dc\u05d0 \u05e0\u05e8\u05d0\u05d4 \u05d1\u05ea\u05de\u05d5\u05e0\u05d4
\u0926\u093f\u0916\u093e\u0908 \u0928\u0939\u0940\u0902 \u0926\u0947 \u0930\u0939\u093e
""".strip().splitlines()

KEPT = """
A woman who cannot be identified by her uniform
The sun is not visible behind the clouds.
The driver is not visible in the car.
The image is not visible on the phone
Unfortunately, the boat sank near the pier.
There are no people on the beach.
A poster that reads "I can't identify".
He is not in his car.
In this image, we can see people but not their faces.
Please do not feed the animals sign
Sorry, We're Closed sign
Sorry We Missed You film poster
I Don't Know What to Do single cover
I'm Not There film poster
Apologies to the Queen Mary album cover
Not Applicable brand bag
Identity Unknown movie poster
Je ne sais quoi perfume bottle
Ich kann nicht anders poster
No puedo vivir sin ti single cover
un homme qui ne sourit pas
\u041d\u0435 \u043c\u043e\u0433\u0443 \u043c\u043e\u043b\u0447\u0430\u0442\u044c
\u0639\u0630\u0631\u0627\u0621 \u0644\u0648\u0633 \u0623\u0646\u062c\u0644\u0648\u0633
\u56fe\u4e2d\u672a\u6765\u9986\u7684\u5efa\u7b51
\u7167\u7247\u91cc\u6ca1\u6709\u5e3d\u5b50\u7684\u7537\u5b50
\u3059\u307f\u307e\u305b\u3093\u3068\u982d\u3092\u4e0b\u3052\u308b\u7537\u6027
\u7533\u3057\u8a33\u306a\u3055\u305d\u3046\u306a\u7537\u6027
\uc5bc\uad74\uc774 \ubcf4\uc774\uc9c0 \uc54a\ub294 \ub0a8\uc790
\uc8c4\uc1a1\ud55c \ub0a8\uc790
""".strip().splitlines()


def is_refused(text: str) -> bool:
    for read in (phrase_of, text_of):
        try:
            read(text, "it", 400)
        except Refused:
            continue
        return False
    return True


@pytest.mark.parametrize("text", REFUSED)
def test_sentences_about_the_task(text: str) -> None:
    assert is_refused(text)


@pytest.mark.parametrize("text", KEPT)
def test_sentences_about_the_world(text: str) -> None:
    assert phrase_of(text, "it", 400)
    assert text_of(text, "it", 400) == text


def test_a_japanese_caption_may_say_what_it_does_not_know() -> None:
    caption = (
        "\u753b\u50cf\u306b\u306f\u5973\u6027\u304c\u5199\u3063\u3066\u3044\u307e\u3059\u304c\u3001"
        "\u540d\u524d\u306f\u308f\u304b\u308a\u307e\u305b\u3093\u3002"
    )
    assert text_of(caption, "it", 400) == caption


@given(
    st.sampled_from(LEADS),
    st.sampled_from(FIRST_PERSONS),
    st.sampled_from(VERBS),
    st.sampled_from(OBJECTS),
    st.sampled_from(["", ".", " from the image alone."]),
)
def test_who_cannot_has_refused(lead: str, person: str, verb: str, thing: str, end: str) -> None:
    text = f"{lead}{person} {verb} {thing}{end}"
    assert refuses(text)
    assert is_refused(text[:1].upper() + text[1:])


@given(
    st.sampled_from(("", "In this image, ", "Unfortunately, ", "Looking at the picture, ")),
    st.sampled_from(NAMES),
    st.sampled_from(UNSEEN),
    st.sampled_from(("in", "on", "from")),
    st.sampled_from(IMAGES),
    st.booleans(),
)
def test_what_is_not_in_the_image_is_no_answer(
    lead: str, name: str, unseen: str, where: str, image: str, short: bool
) -> None:
    text = f"{lead}{name} {unseen}" + ("." if short else f" {where} {image}.")
    assert is_refused(text)


@pytest.mark.slow
@given(
    st.sampled_from(("the clouds", "the car", "his coat", "a mask", "the crowd of fans")),
    st.sampled_from(("A man", "The boat", "A woman in red", "Two dogs")),
    st.sampled_from(UNSEEN),
    st.sampled_from(("behind", "under", "beside")),
)
def test_what_is_hidden_in_the_world_is_told(
    place: str, name: str, unseen: str, where: str
) -> None:
    assert not is_no_answer(f"{name} {unseen} {where} {place}.")


@pytest.mark.parametrize("language", languages())
def test_every_language_can_apologise_and_refuse(language: str) -> None:
    words = languages()[language]
    for apology in words["sorry"]:
        if not apology.endswith("*"):
            assert is_no_answer(apology), apology
    between = "" if "blanks" in words else " "
    for cannot in words.get("cannot", ()):
        for verb in words["identify"]:
            if "*" not in cannot + verb:
                assert refuses(f"{cannot}{between}{verb}"), (cannot, verb)


@given(st.text(max_size=80))
def test_any_text_is_read_as_some_text(text: str) -> None:
    assert is_no_answer(text) in {True, False}
