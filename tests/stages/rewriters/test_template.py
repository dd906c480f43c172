from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from helpers.answers import whole
from helpers.contracts import check_backend
from helpers.factories import make_context

from riveg.errors import UserError
from riveg.llm.prompts import load_prompt
from riveg.protocols import Mention
from riveg.registry import backend_config
from riveg.stages.rewriters.template import TemplateRewriter, TemplateRewriterConfig
from riveg.stages.table import REWRITE
from riveg.types import Entity, Expression, ImageRef, Issue, Sample, Span


def mention(text: str, label: str, caption: str | None = None) -> Mention:
    tokens = tuple(text.split()) or ("x",)
    entity = Entity("e0", text, label, Span(0, len(tokens)))
    return Mention(
        Sample("1", text, tokens, (), ImageRef("1.jpg"), caption, entities=(entity,)), entity
    )


def build(prompt: str = "rewrite/template.v1", base: Path | None = None) -> TemplateRewriter:
    return TemplateRewriterConfig(prompt=prompt).build(make_context(base))


@pytest.mark.parametrize(
    ("text", "label", "caption", "expected"),
    [
        ("Eileen Collins", "PER", None, "a person named Eileen Collins"),
        ("Eileen Collins", "PER", "a woman in a suit", "a woman named Eileen Collins"),
        ("Ann", "PER", "a man and a woman", "a person named Ann"),  # which of the two is not said
        ("Ann", "PER", "", "a person named Ann"),
        ("Bears", "ORG", None, "an organization called Bears"),
        ("NASA", "ORG", "the nasa logo on a wall", "the logo of NASA"),
        ("Texas", "LOC", None, "a place called Texas"),
        ("Wembley", "LOC", "a stadium at night", "a stadium called Wembley"),
        ("Jaws", "OTHER", "a poster, with a shark", "the poster of Jaws"),
        ("Jaws", "MISC", None, "a thing called Jaws"),
        ("Rex", "OTHER", "a dog on a sofa", "a dog named Rex"),
        ("Falcon 9", "spacecraft", None, "the spacecraft Falcon 9"),  # a user's own type
        ("Bears", "sports_team", "a logo", "the sports team Bears"),
        ("Aspen", "location_other", None, "a place called Aspen"),  # fine type of Twitter-FMNERG
        ("X", "", None, "a thing called X"),
        ("X", "other", None, "a thing called X"),
        ("{{ 1 + 1 }}", "PER", "{% if %}", "a person named {{ 1 + 1 }}"),
        ("a\nb", "PER", None, "a person named a b"),  # an expression is one line
    ],
)
def test_expressions(text: str, label: str, caption: str | None, expected: str) -> None:
    (answer,) = build().rewrite([mention(text, label, caption)])
    assert answer == Expression(expected, None, "template")


def test_contract() -> None:
    answers = check_backend(
        REWRITE, build(), [mention("Ann", "PER"), mention("NASA", "ORG"), mention("Jaws", "film")]
    )
    assert all(whole(answer).source == "template" for answer in answers)


def test_says_that_it_is_no_language_model() -> None:
    assert backend_config("rewrite", "template") is TemplateRewriterConfig
    assert "not an LLM" in TemplateRewriterConfig.summary


def test_a_users_prompt_and_its_digest(tmp_path: Path) -> None:
    (tmp_path / "mine.jinja").write_text("{% block expression %}the {{ label }}{% endblock %}")
    (answer,) = build("mine.jinja", tmp_path).rewrite([mention("Ann", "PER")])
    assert answer == Expression("the PER", source="template")
    config = TemplateRewriterConfig(prompt="mine.jinja")
    before = config.contents(tmp_path)
    (tmp_path / "mine.jinja").write_text("{% block expression %}a {{ label }}{% endblock %}")
    assert config.contents(tmp_path) != before


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{% block user %}x{% endblock %}", "no block 'expression'"),
        ("{% block expression %}{{ mentoin }}{% endblock %}", "did you mean mention"),
    ],
)
def test_an_unfit_prompt_is_refused_before_the_run(
    tmp_path: Path, source: str, message: str
) -> None:
    (tmp_path / "mine.jinja").write_text(source)
    with pytest.raises(UserError, match=message):
        TemplateRewriter(load_prompt("mine.jinja", folder=tmp_path))


def test_a_prompt_may_use_the_fine_label(tmp_path: Path) -> None:
    (tmp_path / "mine.jinja").write_text(
        "{% block expression %}{{ mention }}, {{ fine_label or label }}{% endblock %}"
    )
    plain = mention("Ann", "PER")
    singer = Mention(plain.sample, replace(plain.entity, fine_label="singer"))
    written = build("mine.jinja", tmp_path).rewrite([plain, singer])
    assert [getattr(one, "text", None) for one in written] == ["Ann, PER", "Ann, singer"]


def test_a_prompt_that_renders_to_nothing_is_an_issue(tmp_path: Path) -> None:
    (tmp_path / "mine.jinja").write_text("{% block expression %} {% endblock %}")
    (answer,) = build("mine.jinja", tmp_path).rewrite([mention("Ann", "PER")])
    assert isinstance(answer, Issue)
    assert (answer.kind, answer.entity_id) == ("empty-expression", "e0")


@pytest.mark.parametrize("body", ["{{ caption_words[0].upper() }}", "{{ mention[5].upper() }}"])
def test_a_prompt_that_fails_at_one_mention_is_an_issue_there(tmp_path: Path, body: str) -> None:
    (tmp_path / "mine.jinja").write_text(f"{{% block expression %}}\n{body}\n{{% endblock %}}")
    mentions = [mention("Houston", "LOC", "a city"), mention("Ann", "PER")]
    good, bad = build("mine.jinja", tmp_path).rewrite(mentions)
    assert isinstance(good, Expression)
    assert isinstance(bad, Issue)
    assert (bad.stage, bad.kind, bad.entity_id) == ("rewrite", "prompt-failed", "e0")
    assert "mine.jinja:2" in bad.message


@pytest.mark.parametrize("name", ["range", "mentoin"])
def test_what_no_mention_has_is_found_before_the_run(tmp_path: Path, name: str) -> None:
    (tmp_path / "mine.jinja").write_text(
        f"{{% block expression %}}{{{{ {name} }}}}{{% endblock %}}"
    )
    config = TemplateRewriterConfig(prompt="mine.jinja")
    with pytest.raises(UserError, match=f"needs a value for '{name}'"):
        config.contents(tmp_path)
    with pytest.raises(UserError, match=f"needs a value for '{name}'"):
        config.build(make_context(tmp_path))
