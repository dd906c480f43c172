"""Broken JSON is read where only signs are wrong, and refused where words would be guessed."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riveg.llm.json_repairs import repaired


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{'a': 'x', 'b': [True, False, None]}", {"a": "x", "b": [True, False, None]}),
        (r"""{"a": "McDonald\'s"}""", {"a": "McDonald's"}),
        (r"""{'a': 'McDonald\'s'}""", {"a": "McDonald's"}),
        ("""{"a": 'say "hi"'}""", {"a": 'say "hi"'}),
        ('{"a": "he said "no" and left", "b": 1}', {"a": 'he said "no" and left', "b": 1}),
        ('{"a": ""Rocky" Marciano"}', {"a": '"Rocky" Marciano'}),
        ('{"a": "x",}', {"a": "x"}),
        ('{"a": "", "b": "",}', {"a": "", "b": ""}),
        ('{"a": "x" "b": 2}', {"a": "x", "b": 2}),
        ('{"a": [1 2 3]}', {"a": [1, 2, 3]}),
        ('{a: "x"}', {"a": "x"}),
        ("{\u201ca\u201d: \u201cx\u201d}", {"a": "x"}),
        ('{"a": (1, 2)}', {"a": [1, 2]}),
        ('{"a": "x" // why\n}', {"a": "x"}),
        ('{"a": 1 /* why */, "u": "http://x.y"}', {"a": 1, "u": "http://x.y"}),
        ('{"a": "x" # why\n}', {"a": "x"}),
        ('{"a": "#1 // here", }', {"a": "#1 // here"}),
        ('{"a": .5, "b": -0.5e-3,}', {"a": 0.5, "b": -0.0005}),
        ('{"a": [{"b": "x"}', {"a": [{"b": "x"}]}),
        ('{"a": [{"b": "x"} {"b": "y"}]}', {"a": [{"b": "x"}, {"b": "y"}]}),
        ('{"a": "x"', {"a": "x"}),
        ('{"a": "x"}}', {"a": "x"}),
        ('{"a": {"b": [], }', {"a": {"b": []}}),
    ],
)
def test_signs_are_repaired(text: str, value: Any) -> None:
    assert repaired(text, deepest=9) == value


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"a": "x', "cut off in a string"),
        ('{"a": ["x", "y', "in a later one"),
        ('{"a": "x\\', "behind a backslash"),
        ('{"a": 12', "in a number, maybe"),
        ('{"a": ["x", "y"', "more may have been to come"),
        ('{"a": ["x",', "more was to come"),
        ('{"a": {"b": [', "in an empty list"),
        ('{"a": "x", "a": "y"}', "a key twice"),
        ('{"a": "x, "b": 1}', "a string without its end"),
        ("{'a': 'it's Ann'}", "an apostrophe that ends a string or does not"),
        ("{'a': 'McDonald's'}", "likewise"),
        ('{"a": NaN}', "a word that is no text"),
        ("{a: b}", "likewise"),
        ('{"a": 1e999}', "a number without end"),
        ('{"a": true false}', "a word too many"),
        ('{"a": "x" and "b": "y"}', "words between"),
        ('{"a": "x"} or {"a": "y"}', "two of them"),
        ('{"a": """x"""}', "a string in a string"),
        ('{"a" "x"}', "a key that nothing ends"),
        ('{"a": [{"b": "x"}, {"b": "y"]}', "brackets within that do not match"),
        ('{"a": [1}', "brackets that do not match"),
        ("[" * 50, "nothing"),
        ("", "nothing at all"),
    ],
)
def test_nothing_is_guessed(text: str, why: str) -> None:
    assert repaired(text, deepest=9) is None, why


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-999, 999) | st.text("abc xyz,:'é#/", max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("kl", min_size=1), inner),
    max_leaves=8,
)


@pytest.mark.slow
@given(st.dictionaries(st.text("kl", min_size=1), VALUES, min_size=1))
def test_python_says_the_same_or_nothing(value: dict[str, Any]) -> None:
    assert repaired(repr(value), deepest=20) in (value, None)


@pytest.mark.slow
@given(st.dictionaries(st.text("kl", min_size=1), VALUES, min_size=1), st.data())
def test_a_piece_cut_off_never_gives_half_a_word(value: dict[str, Any], data: Any) -> None:
    text = json.dumps(value, ensure_ascii=False)
    cut = text[: data.draw(st.integers(0, len(text)))]
    found = repaired(cut, deepest=20)
    if found is not None:
        whole = json.dumps(value, ensure_ascii=False)
        assert json.dumps(found, ensure_ascii=False).rstrip("}]") in whole.rstrip("}]") + "}]"


@given(st.text(alphabet="{}[]()\"',:ab1 \\\n/*#", max_size=60))
def test_any_text_is_read_or_not(text: str) -> None:
    repaired(text, deepest=20)


@pytest.mark.parametrize(
    "text",
    [
        "{" * 40_000,
        '{"a":' * 9_000,
        "{'a\": " * 6_000,
        "{'a':(" * 6_000,
        '{"a": "' + 'x" ' * 15_000,
        '{"a": [' + "// x\n" * 9_000,
        '{"a": "' + "\\" * 40_000,
        "{" + "a:" * 20_000,
        '{"a": "b"' + ", '" * 15_000,
        "x" * 10_000_000,
    ],
    ids=lambda text: text[:9],
)
def test_hostile_texts_cost_little(text: str) -> None:
    started = time.monotonic()
    assert repaired(text, deepest=100) is None
    assert time.monotonic() - started < 5
