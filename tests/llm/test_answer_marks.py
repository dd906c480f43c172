"""What stands around an answer is taken off, once and for all; what belongs to it stays."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riveg.llm.answer_marks import (
    after_answer_mark,
    holds_template_marks,
    spoken_part,
    with_single_escapes,
    without_markup,
)

PHRASE = "a red ball"

WRAPPINGS = [
    "**{}**",
    "*{}*",
    "__{}__",
    "_{}_",
    "***{}***",
    "- {}",
    "* {}",
    "\u2022 {}",
    "1. {}",
    "# {}",
    "### {}",
    "> {}",
    "<answer>{}</answer>",
    "<answer>\n{}\n</answer>",
    "<ANSWER>{}</ANSWER>",
    "<answer>{}",
    "<expression>{}</expression>",
    "<p>{}</p>",
    "{}<|im_end|>",
    "{}<|eot_id|>",
    "{}<end_of_turn>",
    "{}</s>",
    "{}<|im_end|>\n<|im_start|>user\nAnd this?<|im_end|>",
    "<|im_start|>assistant\n{}<|im_end|>",
    "<|start_header_id|>assistant<|end_header_id|>\n\n{}",
    "<start_of_turn>model\n{}<end_of_turn>",
    "<|begin_of_box|>{}<|end_of_box|>",
    "<|channel|>final<|message|>{}",
    "<|channel|>analysis<|message|>A blue one?<|end|><|start|>assistant"
    "<|channel|>final<|message|>{}<|return|>",
    "analysisA blue one?assistantfinal: {}",
    "<|channel>thought\nA blue one?<channel|>{}",
    '"{}"',
    '{{"expression": "{}"}}',
    '["{}"]',
    "```{}```",
    "```\n{}\n```",
    "```text\n{}\n```",
    "Expression: {}",
    "**Expression:** {}",
    "**Expression**: {}",
    "Referring expression: {}",
    "Answer: {}",
    "- **Noun phrase:** {}",
    "Assistant: {}",
    "assistant\n\n{}",
    "**Final Answer:** {}",
    "Sure! Here's a caption: {}",
    "Here is the referring expression you asked for:\n\n{}",
    "Certainly, here is a short description of the entity: {}",
    "<pad>{}",
    "{}<pad><pad>",
    "{}</answer>",
    "\u300c{}\u300d",
    "\u300e{}\u300f",
    "analysisA blue one.assistantfinal{}",
    "$\\boxed{{\\text{{{}}}}}$",
]


@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_what_is_around_a_phrase_is_taken_off(wrapping: str) -> None:
    text = without_markup(wrapping.format(PHRASE)).strip('": ')
    assert text == PHRASE


@pytest.mark.parametrize(
    "text",
    [
        PHRASE,
        "1. FC Union players in red shirts",
        "a *very* red ball",
        "#1 fan",
        "-5 degrees on a sign",
        "snake_case_name on a screen",
        "f****ing good, f****ing right",
        "2 * 3 * 4 on a blackboard",
        "Star Wars: a poster",
        "a sign that reads <exit>",
        "the answer machine on a desk",
        "{label} of a {mention}",
        "[a] man",
    ],
)
def test_what_belongs_to_a_phrase_stays(text: str) -> None:
    assert without_markup(text) == text


@given(
    st.lists(st.sampled_from(WRAPPINGS), max_size=4),
    st.text(alphabet="ab *_#-.<>/\"'`|{}[]\\\n", max_size=20),
)
def test_nothing_is_left_to_take_off(wrappings: list[str], text: str) -> None:
    for wrapping in wrappings:
        text = wrapping.format(text)
    once = without_markup(text)
    assert without_markup(once) == once


@given(st.text(alphabet="<|>im_end/answerfinalchnl \n{}[]", max_size=80))
def test_a_spoken_part_is_part_of_the_text(text: str) -> None:
    spoken = spoken_part(text)
    assert spoken in text
    assert spoken_part(spoken) in spoken


@pytest.mark.parametrize(
    ("text", "spoken", "why"),
    [
        ("<|channel|>analysis<|message|>hm", "", "it never came to an answer"),
        ('{"text": "<|channel|>final<|message|>"}', None, "a post's words within JSON"),
        ("<|channel|>final <|constrain|>json<|message|>{}", "{}", "bound to JSON"),
        (
            "<|channel|>final<|message|>a<|end|><|channel|>final<|message|>b",
            "b",
            "the last channel",
        ),
    ],
)
def test_channels(text: str, spoken: str | None, why: str) -> None:
    assert spoken_part(text) == (text if spoken is None else spoken), why


@pytest.mark.parametrize(
    ("text", "marked"),
    [
        ("The format is {}. Answer: {1}", "{1}"),
        ("{} first\nAnswer: {1}", None),
        ("Hm {}.\n**Final answer:** {1}", "{1}"),
        ("<answer>{}</answer> or <answer>{1}</answer>", "{1}"),
        ("{} <answer>{1}</answer>", "{1}"),
        ("my answer machine: {1}", None),
        ("no mark", None),
        ("```json\n{}\n```\n### Final\n{1}", "{1}"),
        ("### Draft\n{}\n**Final Answer**\n{1}", "{1}"),
        ("{}\n**Final answer:**\n{1}", "{1}"),
        ("{}\nThe post says:\n### Final\n{1}", None),
    ],
)
def test_what_follows_the_last_mark_of_an_answer(text: str, marked: str | None) -> None:
    assert after_answer_mark(text) == marked


def test_marks_of_templates_that_are_left() -> None:
    assert holds_template_marks("a ball <|tool_call|> x")
    assert holds_template_marks("a ball [/INST]")
    assert not holds_template_marks("a < b | c > d, <3")


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("Jos\\u00e9", "Jos\u00e9"),
        ("\\ud83d\\ude00!", "\U0001f600!"),
        ("\\ud83d", "\ufffd"),
        ("C:\\users", "C:\\users"),
        ("\\u12", "\\u12"),
    ],
)
def test_doubled_escapes(text: str, read: str) -> None:
    assert with_single_escapes(text) == read


@pytest.mark.parametrize(
    "piece",
    ["**", "- ", "<answer>", "# ", "```", "<a>", "Answer: ", '["', "<|im_start|>", "_", "("],
)
def test_very_long_markup_costs_little(piece: str) -> None:
    started = time.monotonic()
    without_markup(piece * (1_300 // len(piece) * 3))
    without_markup(piece * 20_000)
    assert time.monotonic() - started < 10
