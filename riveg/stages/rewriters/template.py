"""Referring expressions by rules in a prompt file, without a language model."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from riveg.config.backend import BackendConfig, BuildContext
from riveg.errors import UserError
from riveg.llm.prompts import Prompt, load_prompt
from riveg.protocols import AnswerOrIssue, Mention, Rewriter
from riveg.reads import Reads, reads
from riveg.types import Expression, Issue

SOURCE = "template"

_BLOCK = "expression"
_VALUES = ("mention", "label", "fine_label", "caption_words")
_WORD = re.compile(r"\w+")


class TemplateRewriterConfig(BackendConfig[Rewriter]):
    """``prompt`` is a prompt's name or a ``.jinja`` file with a block ``expression``."""

    stage: ClassVar[str] = "rewrite"
    name: ClassVar[str] = "template"
    summary: ClassVar[str] = "a phrase from the type and the caption's words, by rules; not an LLM"
    parallel: ClassVar[bool] = True

    prompt: str = "rewrite/template.v1"

    def reads(self) -> Reads:
        return reads("caption", entity="text label fine_label")

    def build(self, context: BuildContext) -> TemplateRewriter:
        """Reads the prompt.

        Raises:
            UserError: If there is no such prompt, or it needs a value that no mention has.
        """
        return TemplateRewriter(load_prompt(self.prompt, folder=context.base))

    def contents(self, base: Path) -> Mapping[str, str]:
        """Digest of the prompt.

        Raises:
            UserError: As in building: a prompt that fits no mention is found before the run.
        """
        prompt = load_prompt(self.prompt, folder=base)
        prompt.require(_BLOCK, _VALUES)
        return {"prompt": prompt.fingerprint}


class TemplateRewriter:
    """Renders the prompt's block ``expression`` for each mention.

    Raises:
        UserError: If the prompt has no such block, or needs a value that no mention has.
    """

    def __init__(self, prompt: Prompt) -> None:
        prompt.require(_BLOCK, _VALUES)
        self._prompt = prompt

    def rewrite(self, mentions: Sequence[Mention]) -> Sequence[AnswerOrIssue[Expression]]:
        """One line of text about each mention; an Issue where the prompt fails."""
        return [self._rewrite(mention) for mention in mentions]

    def _rewrite(self, mention: Mention) -> AnswerOrIssue[Expression]:
        entity = mention.entity
        caption = mention.sample.caption or ""
        try:
            text = self._prompt.render(
                _BLOCK,
                mention=entity.text,
                label=entity.label,
                fine_label=entity.fine_label or "",
                caption_words=tuple(_WORD.findall(caption.lower())),
            )
        except UserError as error:
            return Issue("rewrite", entity.id, "prompt-failed", str(error))
        line = " ".join(text.split())
        if not line:
            message = f"{self._prompt.name} renders to nothing for {entity.text!r}"
            return Issue("rewrite", entity.id, "empty-expression", message)
        return Expression(line, source=SOURCE)
