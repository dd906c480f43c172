"""Tokens and offsets of raw text."""

import os
import re
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riveg.formats.conll import read_conll
from riveg.text import tokenise as tokenise_module
from riveg.text.tokenise import join_tokens, tokenise


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("RT @NASA: go", ["RT", "@", "NASA", ":", "go"]),  # handle apart from its sign
        ("#Go @a_b", ["#", "Go", "@", "a", "_", "b"]),  # underscore apart, as in the 2015 family
        ("don't", ["don", "'", "t"]),
        ("50,000 at 7.30", ["50,000", "at", "7.30"]),  # inner marks of numbers stay
        ("21, yes", ["21", ",", "yes"]),
        ("A &amp; B", ["A", "&amp", ";", "B"]),  # entities as the sets hold them
        ("see https://t.co/aB1.", ["see", "https://t.", "co/aB1", "."]),
        ("http://", ["http://"]),
        ("wow!!", ["wow", "!", "!"]),
        ("👏👏", ["👏", "👏"]),
        ("हिन्दी में", ["हिन्दी", "में"]),  # vowel signs stay in their word
        ("cafe\u0301", ["cafe\u0301"]),
        ("\u0301abc", ["\u0301abc"]),  # a mark that lost its letter
        ("\u2022\u0305 !\u0301a", ["\u2022\u0305", "!\u0301", "a"]),  # marks on signs
        ("\u202eabc\x00", ["\u202e", "abc", "\x00"]),  # hostile characters are tokens like others
        ("  \n\t ", []),
        ("", []),
    ],
)
def test_tokens(text: str, tokens: list[str]) -> None:
    assert list(tokenise(text)[0]) == tokens


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("昨日、山田さん", ["昨", "日", "、", "山", "田", "さ", "ん"]),
        ("iPhone16を2024年に", ["iPhone16", "を", "2024", "年", "に"]),  # other scripts stay words
        ("ﾊﾞｯﾊ ハリー", ["ﾊﾞ", "ｯ", "ﾊ", "ハ", "リ", "ー"]),  # a voicing mark of half width
        ("は\u3099 葛\U000e0100城", ["は\u3099", "葛\U000e0100", "城"]),
        ("ไปเชียงใหม่ น้ำ ๒๕๖๗", [*"ไปเ", "ชี", "ย", "ง", "ใ", "ห", "ม่", "น้ำ", "๒๕๖๗"]),
        ("ຢູ່ວຽງຈັນ", ["ຢູ່", "ວ", "ຽ", "ງ", "ຈັ", "ນ"]),
        ("ភ្នំពេញ", ["ភ្នំ", "ពេ", "ញ"]),  # letters that stand below others stay with them
        ("ရန်ကုန်", ["ရ", "န်", "ကု", "န်"]),
        ("김민수는 ㅋㅋㅋ", ["김", "민", "수", "는", "ㅋㅋㅋ"]),
        ("\u1100\u1175\u11b7\u1106\u1175\u11ab", ["\u1100\u1175\u11b7", "\u1106\u1175\u11ab"]),
        ("NASA는 갔다", ["NASA", "는", "갔", "다"]),
        ("https://t.co/aB1という", ["https://t.", "co/aB1", "と", "い", "う"]),
        ("https://t.co/aB1。", ["https://t.", "co/aB1", "。"]),
        ("中\u2060国", ["中\u2060", "国"]),
    ],
)
def test_scripts_without_blanks_are_cut_by_cluster(text: str, tokens: list[str]) -> None:
    assert list(tokenise(text)[0]) == tokens


@pytest.mark.parametrize(
    ("text", "tokens", "reason"),
    [
        ("خانه\u200cساز بود", ["خانه\u200cساز", "بود"], "joiner between letters"),
        ("ශ්\u200dරී", ["ශ්\u200dරී"], "joiner behind a mark"),
        ("അവന്\u200d.", ["അവന്\u200d", "."], "joiner at the end of a word"),
        ("Rov\u00adaniemi", ["Rov\u00adaniemi"], "soft hyphen"),
        ("Rov\u2060ani\ufeffemi", ["Rov\u2060ani\ufeffemi"], "word joiners, new and old"),
        ("NA\u2066SA\u2069 it", ["NA\u2066SA", "\u2069", "it"], "direction marks only within"),
        ("Ann\u200e Lee", ["Ann", "\u200e", "Lee"], "behind a word it is no part of it"),
        ("Lady\u200bGaga", ["Lady", "\u200b", "Gaga"], "a zero width space ends a word"),
        ("A\ufe0fb", ["A\ufe0f", "b"], "a selector stays with what it selects"),
    ],
)
def test_format_characters_stay_in_their_word(text: str, tokens: list[str], reason: str) -> None:
    assert list(tokenise(text)[0]) == tokens, reason


@pytest.mark.parametrize(
    "emoji",
    [
        "👩🏽‍🚀",
        "👨‍👩‍👧",
        "🏳️‍🌈",
        "🏴‍☠️",
        "🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",
        "🇩🇪",
        "❤️",
        "☺︎",
        "1️⃣",
        "#⃣",
        "👍🏿",
        "ℹ️",
        "🤷🏻‍♀️",
    ],
)
def test_an_emoji_is_one_token(emoji: str) -> None:
    assert list(tokenise(f"a {emoji} b")[0]) == ["a", emoji, "b"]
    assert list(tokenise(f"top{emoji}{emoji}now")[0]) == ["top", emoji, emoji, "now"]
    assert list(tokenise(f"北{emoji}京")[0]) == ["北", emoji, "京"]


def test_flags_are_pairs_and_the_last_of_three_is_alone() -> None:
    assert list(tokenise("🇩🇪🇫🇷🇮")[0]) == ["🇩🇪", "🇫🇷", "🇮"]


HOSTILE = st.text(
    st.one_of(
        st.characters(exclude_categories=["Cs"]),
        st.sampled_from(
            "a1#.&; \u0301\u200d\u200c\u00ad\u200e\u200b\ufe0f\u20e3👩🏽🚀❤🇩🇪ชีำเ京は\u3099ﾞ"
            "\u1100\u1175\u11b7가ក្ရန်\U000e0067\u0e33"
        ),
    ),
    max_size=12,
)


@given(HOSTILE)
@settings(max_examples=300)
def test_no_cut_goes_through_a_letter_with_its_marks(text: str) -> None:
    regex = pytest.importorskip("regex", reason="knows what Unicode calls a grapheme cluster")
    _, offsets = tokenise(text)
    edges = {edge for pair in offsets for edge in pair}
    for cluster in regex.finditer(r"(?![\s\p{GCB=Prepend}])\X", text):
        if regex.search(r"\p{InCB=Linker}", cluster[0]):
            continue  # letters below others are in the table above
        inside = {
            place
            for place in range(cluster.start() + 1, cluster.end())
            if not "🏻" <= text[place] <= "🏿"  # a skin tone alone, behind what has no skin
        }
        assert not edges & inside, (cluster[0], text)


@given(st.text(st.characters(max_codepoint=127)).filter(lambda text: "://" not in text))
def test_english_is_cut_by_the_rules_of_the_sets(text: str) -> None:
    rules = r"&\#?\w{1,12}(?=;)|\d+(?:[.,:]\d+)+|[^\W_]+|\S"
    assert list(tokenise(text)[0]) == re.findall(rules, text)


@given(st.text())
def test_offsets_point_at_the_tokens_and_cover_all_that_is_not_white(text: str) -> None:
    tokens, offsets = tokenise(text)
    assert [text[start:end] for start, end in offsets] == list(tokens)
    position = 0
    for start, end in offsets:
        assert not text[position:start].strip()
        assert end > start >= position
        position = end
    assert not text[position:].strip()


@given(st.lists(st.text(min_size=1)))
def test_joined_tokens_are_found_by_their_offsets(tokens: list[str]) -> None:
    text, offsets = join_tokens(tokens)
    assert [text[start:end] for start, end in offsets] == tokens


@pytest.mark.slow
@pytest.mark.parametrize(
    ("start", "repeated"),
    [
        ("", "a_b! "),
        ("", "北京大学"),
        ("", "ไปเชียงใหม่"),
        ("a", "\u0301"),
        ("a", "\u00ad"),
        ("👩", "\u200d👩"),
        ("1", "\ufe0f1"),
        ("", "\u1100"),
        ("", "\u1039"),
        ("https://", "."),
        ("https://", "a,"),
    ],
)
def test_a_long_text_takes_no_quadratic_time(start: str, repeated: str) -> None:
    counts = (40_000 // len(repeated), 400_000 // len(repeated))
    small, large = (min(_seconds(start + repeated * count) for _ in range(3)) for count in counts)
    assert large < 50 * max(small, 0.02)


def _seconds(text: str) -> float:
    started = time.perf_counter()
    tokenise(text)
    return time.perf_counter() - started


def test_most_annotated_samples_are_cut_as_the_annotators_cut_them() -> None:
    root = os.environ.get("RIVEG_TEST_DATA")
    if root is None:
        pytest.skip("RIVEG_TEST_DATA is not set")
    sentences = list(read_conll(Path(root) / "twitter-gmner-v2" / "txt" / "dev.txt"))
    same = sum(tokenise(" ".join(s.tokens))[0] == s.tokens for s in sentences)
    assert same / len(sentences) > 0.85


@given(st.text(alphabet="abzAZ09 \n\t.,:'#@&;_-éß\u0301\u200d\ufe0f漢🙂") | st.text())
def test_the_quick_way_for_plain_words_finds_what_the_others_find(text: str) -> None:
    quick = tokenise_module._pattern()
    without = quick.pattern.replace(r"[a-zA-Z]++(?=\ |\Z)", "(?!)")
    assert without != quick.pattern
    slow = re.compile(without, re.VERBOSE)
    assert [one.span() for one in quick.finditer(text)] == [
        one.span() for one in slow.finditer(text)
    ]
