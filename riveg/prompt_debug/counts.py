"""Lines of figures about a prompt's requests and answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from riveg.prompt_debug.document import ModelAnswer, PromptDebug, Side
from riveg.report.pairing import OUTCOMES


def question_line(side: Side) -> str:
    """How many requests there are, and how many of them have an answer.

    >>> from riveg.prompt_debug.document import PromptUsed
    >>> question_line(Side(PromptUsed("p", "p.jinja", "0"), (), (), ()))
    'none'
    """
    if not side.rows:
        return "none"
    failed = sum(bool(row.answer and row.answer.fault) for row in side.rows)
    cached = sum(bool(row.answer and row.answer.on_file) for row in side.rows)
    fresh = len(side.rows) - side.unanswered - failed - cached
    parts = (
        (cached, "answered on file"),
        (fresh, "answered now"),
        (failed, "without a usable answer"),
        (side.unanswered, "not asked yet (--ask sends them)"),
    )
    present = [(number, what) for number, what in parts if number]
    if len(present) == 1:
        return f"{len(side.rows)}, {present[0][1]}"
    return f"{len(side.rows)}: " + ", ".join(f"{number} {what}" for number, what in present)


def token_line(side: Side) -> str:
    """Tokens of the requests, and how they were counted."""
    if not side.rows:
        return "none"
    counts = [row.tokens for row in side.rows]
    how = "by the model's tokenizer" if all(row.exact for row in side.rows) else "estimated"
    ends = f"{min(counts):,} to {max(counts):,}" if min(counts) < max(counts) else f"{counts[0]:,}"
    return f"{sum(counts):,} in all, {ends} a question, {how}"


def change_line(found: PromptDebug) -> str:
    """How many answers the second prompt changes."""
    numbers = Counter(row.state for row in found.compared)
    parts = [f"{numbers['changed']} changed", f"{numbers['same']} same"]
    if numbers["unasked"]:
        parts.append(f"{numbers['unasked']} not answered under both")
    return ", ".join(parts)


def downstream_lines(found: PromptDebug) -> Iterator[str]:
    """How many answers of the later stages change, and how many become right or wrong."""
    if not found.downstream:
        return
    numbers = Counter(
        effect.stage
        for one in found.consequences
        for effect in one.effects
        if effect.before != effect.after
    )
    changed = ", ".join(
        f"{numbers[stage]} of {stage}" for stage in found.downstream if numbers[stage]
    )
    if changed:
        yield f"downstream, other answers: {changed}"
    else:
        yield f"downstream, the same answers of {' and '.join(found.downstream)}"
    if found.judged:
        outcomes = Counter(one.outcome for one in found.consequences)
        counts = ", ".join(f"{outcomes[name]} {name.replace('-', ' ')}" for name in OUTCOMES)
        yield f"beside the gold, {counts}"


def how_it_came(answer: ModelAnswer) -> str:
    """Whether it was cached, how it was read, why the response ended, how long it took."""
    return ", ".join(_how_it_came(answer))


def _how_it_came(answer: ModelAnswer) -> Iterator[str]:
    if answer.fault:
        yield f"{answer.fault}: {answer.message}"
    else:
        yield "on file" if answer.on_file else "asked now"
    if answer.path:
        yield f"path {answer.path}"
    if answer.finish_reason:
        yield f"finish {answer.finish_reason}"
    if answer.latency_s is not None:
        yield f"{answer.latency_s:.2f} s"
    if answer.prompt_tokens is not None and answer.answer_tokens is not None:
        yield f"{answer.prompt_tokens:,} + {answer.answer_tokens:,} tokens"
