import pytest
from hypothesis import given
from hypothesis import strategies as st

from riveg.formats.e2e_answer import Triple, answer_text, format_answer, parse_answer

PLAIN = (
    st.text(
        st.characters(
            exclude_categories=["Cs", "Cc", "Zl", "Zp"], exclude_characters="|;；｜│丨￨∣"
        ),
        min_size=1,
    )
    .map(str.strip)
    .filter(bool)
)
CORNERS = st.tuples(*[st.floats(-1e6, 1e6) | st.integers(0, 5000)] * 4)
BOXES = st.none() | st.lists(CORNERS, max_size=3).map(tuple)


@given(st.lists(st.builds(Triple, PLAIN, PLAIN, BOXES)))
def test_what_is_written_is_read_again(triples: list[Triple]) -> None:
    answer = parse_answer(format_answer(triples))
    assert answer.triples == tuple(triples)
    assert answer.dropped == 0


@pytest.mark.parametrize(
    ("text", "expected", "reason"),
    [
        ("<think>a</think><answer>b</answer> c", "b", "the block"),
        ("<answer>b</answer><answer>c</answer>", "b", "the first block"),
        ("<think>a</think> b", " b", "what follows the thoughts"),
        ("a</think>b</think>c", "b</think>c", "what follows the first of them"),
        ("<Answer>b</ANSWER>", "b", "in any case"),
        ("a</THINK>b", "b", "in any case"),
        ("<answer>b", "<answer>b", "a block that never ends is none"),
        ("<answer>a\nb</answer>", "a\nb", "a block of several lines"),
    ],
)
def test_where_the_answer_stands(text: str, expected: str, reason: str) -> None:
    assert answer_text(text) == expected, reason


@pytest.mark.parametrize(
    ("text", "boxes", "reason"),
    [
        ("None", (), "nowhere"),
        ("NONE", (), "in any case"),
        ("n/a", (), "or so"),
        ("[1,2,3,4]", ((1, 2, 3, 4),), "one box"),
        ("[[1, 2, 3, 4], [5, 6, 7, 8]]", ((1, 2, 3, 4), (5, 6, 7, 8)), "two boxes"),
        ("[1,2,3,4],[5,6,7,8]", ((1, 2, 3, 4), (5, 6, 7, 8)), "no JSON: numbers in fours"),
        ("(1 2) (3 4) 5", None, "a fifth number spoils all"),
        ("[.5, +1, 2, 3.]", ((0.5, 1, 2, 3),), "halves and signs"),
        ("[1e2, 2, 300, 4]", ((100, 2, 300, 4),), "JSON's own numbers"),
        ("[1,2,3]", None, "too few"),
        ("on the left", None, "none"),
        ("[]", None, "an empty list is no answer"),
        (f"[1,2,3,{'9' * 400}]", None, "beyond what a number can be"),
    ],
)
def test_regions(text: str, boxes: object, reason: str) -> None:
    assert parse_answer(f"A|PER|{text}").triples == (Triple("A", "PER", boxes),), reason  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "triples", "dropped", "reason"),
    [
        ("None", 0, 0, "no entity"),
        ("", 0, 0, "nothing at all"),
        ("A|PER|None;", 1, 0, "an end without a next one"),
        ("A|PER; B|ORG|None", 1, 1, "two parts are no entity"),
        ("A|PER|None\nB|ORG|None；C|LOC|None", 3, 0, "line ends and full-width semicolons"),
        ("A｜PER│None; B\u4e28LOC\uffe8None; C\u2223LOC|None", 3, 0, "bar look-alikes"),
        ("A\u2503PER\u00a6None", 0, 1, "other bars are none"),
        ("||; |PER|None; A||None", 0, 3, "empty parts are none"),
        ("A|PER|None; None", 1, 1, "None beside an entity"),
    ],
)
def test_pieces(text: str, triples: int, dropped: int, reason: str) -> None:
    answer = parse_answer(text)
    assert (len(answer.triples), answer.dropped) == (triples, dropped), reason
