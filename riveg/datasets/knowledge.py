"""Knowledge of a language model about the posts of a dataset, joined by id or by text.

Nothing is ever joined by its place in the file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

from riveg.datasets.dataset import quoted
from riveg.errors import UserError
from riveg.formats.knowledge import KnowledgeText, read_knowledge
from riveg.formats.knowledge_runs import AUGMENT, knowledge_run
from riveg.types import Sample


def knowledge_of(
    samples: Iterable[Sample],
    files: Iterable[Path],
    name: str,
    note: Callable[[str], None] = lambda _: None,
) -> dict[str, tuple[str, ...]]:
    """The different pieces of knowledge about each sample, by its id, in file order, on one line.

    Args:
        samples: The posts.
        files: Each perhaps by another language model.
        name: What the posts are called in messages.
        note: Is told of each file how many posts it has knowledge about, and who has made it.

    Raises:
        UserError: If a file holds knowledge about a post that is none of these, says another text
            of a post than it has, or holds no knowledge at all.
    """
    by_id: dict[str, Sample] = {}
    by_tokens: dict[tuple[str, ...], list[Sample]] = {}
    by_text: dict[str, list[Sample]] = {}
    for sample in samples:
        by_id[sample.id] = sample
        by_tokens.setdefault(sample.tokens, []).append(sample)
        by_text.setdefault(sample.text, []).append(sample)
    found: dict[str, dict[str, None]] = {}
    for path in files:
        counts: Counter[str] = Counter()
        for one in read_knowledge(path):
            counts["all"] += 1
            counts["with"] += bool(one.knowledge)
            counts["failed"] += one.failed
            if one.sample_id is not None:
                meant = [by_id[one.sample_id]] if one.sample_id in by_id else []
            elif one.tokens is not None:
                meant = by_tokens.get(one.tokens, [])
            else:
                meant = by_text.get(one.text or "", [])
            if not meant:
                raise UserError(f"{one.place}: {_called(one)} is no post of {name}; {_ADVICE}")
            for sample in meant:
                _require_same(one, sample)
                if one.knowledge:
                    found.setdefault(sample.id, {})[" ".join(one.knowledge.split())] = None
        note(_told(path, counts))
    return {sample_id: tuple(texts) for sample_id, texts in found.items()}


_ADVICE = "give the knowledge file of this split and version"


def _told(path: Path, counts: Counter[str]) -> str:
    failed = counts["failed"]
    mend = f"; {AUGMENT} failed on {failed}: give its run again with --retry-failed"
    if not counts["with"]:
        raise UserError(f"{path}: holds no knowledge about any post{mend if failed else ''}")
    run = knowledge_run(path)
    return (
        f"{path}: knowledge about {counts['with']} of {counts['all']} posts"
        f"{f' {run.described()}' if run else ''}{mend if failed else ''}"
    )


def _called(one: KnowledgeText) -> str:
    if one.sample_id is not None:
        return f"the id {quoted(one.sample_id)}"
    return quoted(" ".join(one.tokens) if one.tokens is not None else one.text or "")


def _require_same(one: KnowledgeText, sample: Sample) -> None:
    if not one.is_about(sample):
        other = one.tokens is not None and one.tokens != sample.tokens
        said = " ".join(one.tokens) if one.tokens is not None and other else one.text or ""
        raise UserError(
            f"{one.place}: knowledge about {quoted(said)}, but the post {quoted(sample.id)} is "
            f"{quoted(sample.text)}; {_ADVICE}"
        )
