"""What a stage needs to be at work: language models, its backend, and what that is built from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from riveg.config.backend import BuildContext
from riveg.config.extras import missing_package
from riveg.config.system import Step
from riveg.errors import MissingExtra
from riveg.formats.accounts import Account
from riveg.labels import Label
from riveg.llm.conversation import Chat
from riveg.llm.endpoint import Endpoint
from riveg.pipeline import AnyStageRunner, StageRunner
from riveg.protocols import ImageSource
from riveg.types import Gold

ANSWERS = "answers.sqlite"
"""File of a run folder with every response of a language model."""

LOGS = "logs"
"""Folder of a run folder with what the run told, and what servers printed that riveg started."""


def require_packages(step: Step) -> None:
    """Makes sure that a backend's extra is there, before anything is loaded.

    Raises:
        MissingExtra: Naming the backend, the package and the command that installs it.
    """
    missing = missing_package(type(step.config))
    if missing is not None:
        raise MissingExtra(f"{step.stage.name}: {step.config.name}", missing.package, missing.extra)


class Surroundings(Protocol):
    """What a system, or a job of it, says about everything around its backends."""

    @property
    def base(self) -> Path: ...

    @property
    def llm(self) -> Mapping[str, Endpoint]: ...

    @property
    def labels(self) -> tuple[Label, ...]: ...


def build_context(
    surroundings: Surroundings,
    images: ImageSource,
    *,
    chats: Mapping[str, Chat],
    gold: Mapping[str, Gold] | None = None,
) -> BuildContext:
    """What backends are built from; the one place that makes it, so that nothing is forgotten."""
    return BuildContext(
        images=images,
        base=surroundings.base,
        gold=gold or {},
        chats=chats,
        endpoints=surroundings.llm,
        labels=surroundings.labels,
    )


MOST_ANSWERS = 2048
"""Answers of a stage that a run keeps for equal questions: of masks some ten megabytes."""


def build_runner(
    step: Step, context: BuildContext, *, batch_size: int, gated: bool, most_kept: int = 0
) -> AnyStageRunner:
    """The live backend of one step of a system, ready to be asked."""
    return StageRunner(
        step.stage,
        step.config.build(context),
        context.images,
        needs_image=step.config.needs_image,
        batch_size=batch_size,
        gated=gated,
        reads=step.reads,
        most_kept=most_kept,
    )


def _ignore(_: object) -> None:
    return None


@contextmanager
def open_models(
    endpoints: Mapping[str, Endpoint],
    folder: Path | None,
    images: ImageSource,
    say: Callable[[str], None] = _ignore,
    book: Callable[[Account], None] = _ignore,
) -> Iterator[tuple[Mapping[str, Chat], Callable[[str], None]]]:
    """A system's language models, and what releases one of them by name.

    Args:
        endpoints: The models; nothing is loaded or started before one of them is asked.
        folder: The run folder that keeps responses and logs; ``None``: they are kept while the
            block runs.
        images: Where images of the requests come from.
        say: Told what is waited for.
        book: Takes the account of every request.
    """
    if not endpoints:
        yield {}, _ignore
        return
    from riveg.llm.pool import Models
    from riveg.llm.response_cache import ResponseCache

    answers = None if folder is None else folder / ANSWERS
    logs = None if folder is None else folder / LOGS
    with (
        ResponseCache(answers) as cache,
        Models(endpoints, cache=cache, images=images, say=say, logs=logs, book=book) as models,
    ):
        yield models, models.release
