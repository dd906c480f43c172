import html
import unicodedata
from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riveg.text.alignment import TokenAligner, Unaligned, without_overlaps
from riveg.text.letter_forms import rough_letters, same_letters
from riveg.text.tokenise import join_tokens, tokenise
from riveg.types import Span


def aligner(text: str) -> TokenAligner:
    return TokenAligner(text, tokenise(text)[1])


@pytest.mark.parametrize(
    ("text", "wanted", "occurrence", "words", "reason"),
    [
        ("Ada met Bob", "Bob", 1, (2, 3), "as it stands"),
        ("New York is not York", "York", 2, (4, 5), "the second York"),
        ("New York is not York", "York", 1, (1, 2), "the first York, inside of another name"),
        ("NASA and nasa", "nasa", 1, (2, 3), "exact letters go before other letters"),
        ("NASA and nasa", "Nasa", 2, (2, 3), "counted without regard to case"),
        ("Ada met Bob", "Bob", 7, (2, 3), "one place only: a wrong count means nothing"),
        ("Ada met Bob", " Bob\n", 1, (2, 3), "blanks around it"),
        ("met New\n York", "new york", 1, (1, 3), "line end and case"),
        ("Beyoncé sang", "Beyonce", 1, (0, 1), "without the accent"),
        ("Beyonce\u0301 sang", "Beyonc\u00e9", 1, (0, 1), "decomposed and composed"),
        ("the “Star Wars” film", '"Star Wars"', 1, (1, 5), "quotation marks of another kind"),
        ("O’Neill won", "O'Neill", 1, (0, 3), "apostrophe of another kind"),
        ("# Team USA", "#Team USA", 1, (0, 3), "a blank that was not copied"),
        ("#TeamUSA wins", "#TeamUSA", 1, (0, 2), "a hashtag is two tokens"),
        ("in the U.S. today", "U. S.", 1, (2, 6), "a blank that was made up"),
        ("Straße 5", "STRASSE", 1, (0, 1), "one letter that folds to two"),
        ("ﬁrst ﬁlm", "film", 1, (1, 2), "a ligature is two letters"),
        ("大阪 で 会う", "大阪", 1, (0, 2), "letters without case"),
        ("मुंबई बढ़िया", "मुंबई", 1, (0, 1), "vowel signs belong to their letters"),
        ("Ann of AT&amp;T", "AT&T", 1, (2, 6), "an HTML entity is what it stands for"),
        ("Ann of AT&amp;T", "AT&amp;T", 1, (2, 6), "and is copied as it is"),
        ("AT &amp ; T", "AT&T", 1, (0, 5), "tokens of a set"),
        ("see R&#38;B and R&#x26;B", "R&B", 2, (6, 10), "by number"),
        ("M&amp;amp;S and H&amp;#39;s", "M&S", 1, (0, 6), "escaped twice"),
        ("M&amp;amp;S and H&amp;#39;s", "H's", 1, (7, 14), "escaped twice, by number"),
        ("by Beyonc&eacute;.", "Beyoncé", 1, (1, 4), "a letter"),
        ("watch &quot;Up&quot; now", '"Up"', 1, (1, 6), "quotation marks"),
        ("New&nbsp;York", "New York", 1, (0, 4), "a blank"),
        ("AT&T here", "AT&amp;T", 1, (0, 3), "escaped by the copy"),
        ("Tom &T; Bob", "Tom &T; Bob", 1, (0, 4), "no name of HTML"),
        ("Ann\u200e Lee", "Ann Lee", 1, (0, 3), "a direction mark behind a word"),
        ("Ann\u200e Lee", "Ann", 1, (0, 1), "which is no part of it"),
        ("Ann\u200e Lee", "ann", 1, (0, 1), "in other letters either"),
        ("Ann Lee", "\u2068Ann\u2069 Lee\u200f", 1, (0, 2), "made up by the copy"),
        ("محمد\u200f صلاح", "محمد صلاح", 1, (0, 3), "from right to left"),
        ("\u2066@\u2069NA\u2066SA\u2069", "NASA", 1, (3, 4), "within and around a word"),
        ("Rov\u00adaniemi", "Rovaniemi", 1, (0, 1), "soft hyphen"),
        ("Ann\x07 Lee", "Ann Lee", 1, (0, 3), "a control"),
        ("مــحمد", "محمد", 1, (0, 1), "letters drawn out"),
        ("#Amy #Winehouse sings", "Amy Winehouse", 1, (1, 4), "hashtags"),
        ("# Amy # Winehouse", "Amy Winehouse", 1, (1, 4), "tokens of a set"),
        ("#WorldCup final", "World Cup", 1, (1, 2), "a hashtag of two words"),
        ("#World_Cup final", "World Cup", 1, (1, 4), "joined by a line"),
        ("hi @Amy @Lee", "Amy Lee", 1, (2, 5), "handles"),
        ("Amy Lee", "#AmyLee", 1, (0, 2), "a sign that was made up"),
        ("C# and F#", "C#", 1, (0, 2), "a sign that belongs to the name"),
        ("U.S.A. wins", "USA", 1, (0, 5), "initials"),
        ("by J.K. Rowling", "JK Rowling", 1, (1, 6), "initials of a person"),
        ("山田太郎さん", "太郎", 1, (2, 4), "letters within a clause"),
        ("김민수는 김", "김", 2, (4, 5), "syllables are counted"),
        ("金メダルを", "ﾒﾀﾞﾙ", 1, (1, 4), "letters of half width"),
        ("\u1100\u1175\u11b7 씨", "김", 1, (0, 1), "a syllable in its parts"),
        ("A$AP Rocky", "A\\$AP Rocky", 1, (0, 4), "escaped as in Markdown"),
        ("A\\$AP Rocky", "A$AP Rocky", 1, (0, 5), "escaped by the post"),
        ("¯\\_(ツ)_/¯ Ann", "¯\\_(ツ)_/¯", 1, (0, 9), "no escape"),
        ("AT&ampT wins", "AT&T", 1, (0, 3), "HTML without a semicolon"),
        ("AT &amp T", "AT&T", 1, (0, 4), "without a semicolon, with blanks"),
        ("#Ann, #Lee sing", "Ann Lee", 1, (1, 5), "a list of hashtags"),
        ("Иван Ёлкин", "ИВАН ЕЛКИН", 1, (0, 2), "Cyrillic"),
        ("תל־אביב", "תל אביב", 1, (0, 3), "Hebrew hyphen and blank"),
        ("צה״ל", 'צה"ל', 1, (0, 3), "Hebrew quotation mark"),
        ("唐纳德·特朗普", "唐纳德・特朗普", 1, (0, 7), "middle dots"),
        ("唐纳德·特朗普", "唐纳德特朗普", 1, (0, 7), "a middle dot that was left out"),
        ("a\u200bNASA here", "aNASA", 1, None, "a cut by a zero width blank is no cut of the name"),
    ],
)
def test_words_are_found_among_the_tokens(
    text: str, wanted: str, occurrence: int, words: tuple[int, int] | None, reason: str
) -> None:
    if words is None:
        assert aligner(text).find(wanted, occurrence).start == 0
    else:
        assert aligner(text).find(wanted, occurrence) == Span(*words), reason


@pytest.mark.parametrize(
    ("text", "copy"),
    [
        ("كتاب", "کتاب"),
        ("علي", "علی"),
        ("القاهرة", "القاهره"),
        ("تهران ۱۴۰۳", "تهران 1403"),
        ("عدد ٣", "عدد ۳"),
        ("दिल्ली १२", "दिल्ली 12"),
        ("क़लम", "कलम"),
        ("മോഹൻലാൽ", "മോഹന്\u200dലാല്\u200d"),
        ("উৎসব", "উত্\u200dসব"),
        ("IĞDIR", "Iğdır"),
        ("Lech Wałęsa", "Lech Walesa"),
        ("Łódź", "Lodz"),
        ("Søren", "Soren"),
        ("Đoković", "Dokovic"),
        ("Þór Æsir", "Thor Aesir"),
        ("Ħamrun", "Hamrun"),
        ("Слов\u02bcянськ", "Слов'янськ"),
    ],
)
def test_letters_of_several_forms_are_found_by_any(text: str, copy: str) -> None:
    words = Span(0, len(tokenise(text)[1]))
    assert aligner(f"{text} Ann").find(copy) == words
    assert aligner(f"{copy} Ann").find(text) == Span(0, len(tokenise(copy)[1]))
    assert aligner(f"{copy} {text}").find(text).start > 0, "as it is written goes first"


@pytest.mark.parametrize(
    ("text", "wanted", "occurrence", "message"),
    [
        ("Ada met Bob", "Eve", 1, "'Eve' does not stand in the text"),
        ("Ada met Adam", "dam", 1, "'dam' is only a part of 'Adam' there, copy whole words"),
        ("Ada met Ada", "Ada", 3, "'Ada' stands 2 times in the text, there is no occurrence 3"),
        ("Ada met Ada", "Ada", 0, "'Ada' stands 2 times in the text, there is no occurrence 0"),
        ("Ada met Bob", "", 1, "an entity needs words"),
        ("Ada met Bob", " \u200b ", 1, "an entity needs words"),
        ("", "Ada", 1, "'Ada' does not stand in the text"),
        ("met Ann. Lee left", "Ann Lee", 1, "'Ann Lee' does not stand in the text"),
        ("Ann, Lee", "Ann Lee", 1, "'Ann Lee' does not stand in the text"),
        ("김", "기", 1, "'기' does not stand in the text"),  # parts of a syllable are no word
        ("ﬁ", "f", 1, "'f' does not stand in the text"),
        ("ガス", "カス", 1, "'カス' does not stand in the text"),
        ("คู่", "คุ", 1, "'คุ' does not stand in the text"),  # vowel signs are no accents
    ],
)
def test_words_that_are_no_tokens_are_refused_with_the_reason(
    text: str, wanted: str, occurrence: int, message: str
) -> None:
    with pytest.raises(Unaligned) as caught:
        aligner(text).find(wanted, occurrence)
    assert str(caught.value) == message


TOKENS = st.lists(
    st.text(st.characters(exclude_categories=["Z", "C"]), min_size=1, max_size=6),
    min_size=1,
    max_size=12,
)


@given(TOKENS, st.data())
def test_any_span_is_found_again_by_its_words_and_their_count(
    tokens: list[str], data: st.DataObject
) -> None:
    text, offsets = join_tokens(tokens)
    start = data.draw(st.integers(0, len(tokens) - 1))
    end = data.draw(st.integers(start + 1, len(tokens)))
    words = tuple(tokens[start:end])
    places = [
        first
        for first in range(len(tokens))
        if text[offsets[first][0] :].startswith(" ".join(words))
        and offsets[first][0] + len(" ".join(words)) in {last for _, last in offsets}
    ]
    found = TokenAligner(text, offsets).find(" ".join(words), places.index(start) + 1)
    assert found == Span(start, end)


_ODD = [
    *["Ann", " ", "#", "@", "_", ".", "&amp;", "&lt;", "&#39;", "&amp;#x27;", "&nbsp;", "&"],
    *["“", "é", "e\u0301", "\u200e", "\u2066", "\u2069", "\u00ad", "\u200d", "\u200b", "\x07"],
    *["\\", "$", "&amp", "ي", "ی", "۱", "1", "ൻ", "ന്\u200d", "ł", "־", "·", "ة", "ı", "þ", ","],
    *["山", "김", "\u1100\u1175", "ﾞ", "は", "น้ำ", "ก", "มั", "👩🏽‍🚀", "🇩🇪", "ﬁ", "İ", "ß"],
]
PIECES = st.lists(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=3) | st.sampled_from(_ODD),
    max_size=10,
).map("".join)


def copies(words: str) -> list[str]:
    """Words as a language model might write them."""
    return [
        words,
        words.upper(),
        html.unescape(html.unescape(words)),
        "".join(one for one in words if unicodedata.category(one) != "Cf"),
        " ".join(words.split()),
        words.replace("#", "").replace("_", " "),
        unicodedata.normalize("NFC", words),
    ]


@given(PIECES, st.data())
@settings(max_examples=300)
def test_a_copy_is_found_where_it_stood_or_refused(text: str, data: st.DataObject) -> None:
    _, offsets = tokenise(text)
    if not offsets:
        return
    start = data.draw(st.integers(0, len(offsets) - 1))
    end = data.draw(st.integers(start + 1, len(offsets)))
    words = text[offsets[start][0] : offsets[end - 1][1]]
    copy = data.draw(st.sampled_from(copies(words)))
    try:
        found = TokenAligner(text, offsets).find(copy)
    except Unaligned:
        assert copy != words, "words as they stand are never refused"
        return
    if found.start < end and start < found.end:
        return
    read = letters(text[offsets[found.start][0] : offsets[found.end - 1][1]])
    assert read == letters(copy), "elsewhere only where it stands as well"
    assert text.count(copy.strip()) > 1 or letters(text).count(read) > 1 or not read


@given(st.text(max_size=30), st.text(max_size=8), st.integers(-2, 5))
def test_an_answer_is_a_place_that_reads_like_it_or_a_refusal(
    text: str, wanted: str, occurrence: int
) -> None:
    _, offsets = tokenise(text)
    try:
        span = TokenAligner(text, offsets).find(wanted, occurrence)
    except Unaligned:
        return
    assert span.end <= len(offsets)
    found = text[offsets[span.start][0] : offsets[span.end - 1][1]]
    assert letters(found) == letters(wanted)


def letters(text: str) -> str:
    """Letters and digits, simplified: what a place and its copy have in common."""
    text = html.unescape(html.unescape(text))
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    folded = rough_letters(same_letters(folded))
    return "".join(
        character
        for character in folded
        if unicodedata.category(character)[0] in "LN" and character != "\u0640"
    )


@dataclass(frozen=True)
class Found:
    name: str
    span: Span


def test_the_longest_span_is_kept_and_the_others_are_dropped() -> None:
    york = Found("York", Span(1, 2))
    times = Found("New York Times", Span(0, 3))
    ada = Found("Ada", Span(4, 5))
    twice = Found("Ada again", Span(4, 5))
    kept, dropped = without_overlaps([york, ada, times, twice])
    assert kept == (times, ada)
    assert dropped == (york, twice)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 4)), max_size=8))
def test_nothing_is_lost_and_nothing_overlaps(ranges: list[tuple[int, int]]) -> None:
    found = [
        Found(str(number), Span(start, start + length))
        for number, (start, length) in enumerate(ranges)
    ]
    kept, dropped = without_overlaps(found)
    assert sorted(one.name for one in (*kept, *dropped)) == sorted(one.name for one in found)
    assert all(one.span.end <= after.span.start for one, after in pairwise(kept))
