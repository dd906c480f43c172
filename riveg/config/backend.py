"""How a backend is configured and built."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar

from pydantic import BaseModel, ConfigDict

from riveg.labels import USUAL_LABELS, Label
from riveg.llm.conversation import Chat
from riveg.llm.endpoint import Endpoint
from riveg.protocols import ImageSource
from riveg.reads import Reads
from riveg.types import Gold

Backend = TypeVar("Backend", covariant=True)


@dataclass(frozen=True, slots=True)
class BuildContext:
    """What a backend may need from the run it is built for.

    ``base`` is the folder that relative paths of the configuration start from; ``gold`` is filled
    for oracle backends only; ``chats`` holds the system's language models by name (nothing is
    loaded or started before one is asked), ``endpoints`` how each is reached; ``labels`` are the
    system's types; ``networks`` holds what is loaded, for backends that can use the same.
    """

    images: ImageSource
    base: Path = field(default_factory=Path)
    gold: Mapping[str, Gold] = field(default_factory=dict)
    chats: Mapping[str, Chat] = field(default_factory=dict)
    endpoints: Mapping[str, Endpoint] = field(default_factory=dict)
    labels: tuple[Label, ...] = USUAL_LABELS
    networks: dict[Hashable, Any] = field(default_factory=dict)


class BackendConfig(BaseModel, Generic[Backend]):
    """A backend's configuration: data only, importing it imports nothing heavy.

    Class attributes say what the backend needs: ``extra`` is the extra that brings ``packages``
    (import names); ``needs_image`` that it opens the image; ``needs_stage`` that another stage
    must be in the system; ``oracle`` that it looks at gold; ``uses_labels`` that the system's types
    shape its answers; ``whole_parts`` that it is asked about a part's samples at once, because many
    questions in flight are faster; ``parallel`` that it computes on a processor alone and is small,
    so that every core may have one of its own. A field ``llm`` names the language model that it
    asks. ``gone`` names fields of earlier versions, which messages call by that. ``immaterial``
    names fields that do not shape answers beyond rounding: parts stand when they change.
    ``code_revision`` is raised when the code changes the answers, so that parts made before are
    made anew.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    stage: ClassVar[str]
    name: ClassVar[str]
    summary: ClassVar[str]
    extra: ClassVar[str | None] = None
    packages: ClassVar[tuple[str, ...]] = ()
    needs_image: ClassVar[bool] = False
    needs_stage: ClassVar[str | None] = None
    oracle: ClassVar[bool] = False
    uses_labels: ClassVar[bool] = False
    whole_parts: ClassVar[bool] = False
    parallel: ClassVar[bool] = False
    gone: ClassVar[frozenset[str]] = frozenset()
    immaterial: ClassVar[frozenset[str]] = frozenset()
    code_revision: ClassVar[int] = 1

    def build(self, context: BuildContext) -> Backend:
        """The live backend; heavy packages are imported here."""
        raise NotImplementedError

    def reads(self) -> Reads | None:
        """What of a record its answers depend on; ``None``: on anything.

        It is handed nothing else besides the ids, is asked equal questions once, and keeps its
        answers when something else of a record changes.
        """
        return None

    def clash(self, others: Mapping[str, BackendConfig[object]]) -> tuple[str, str] | None:  # noqa: ARG002
        """A field of this backend that others of the system leave without effect, and advice.

        Args:
            others: The system's backends by stage.
        """
        return None

    def own_labels(self, base: Path) -> tuple[str, ...] | None:  # noqa: ARG002
        """The only types that it answers with; ``None`` where it is told them, or takes any.

        Args:
            base: Where relative paths of the configuration start.
        """
        return None

    def trained_with(self, base: Path) -> Mapping[str, tuple[str, ...]]:  # noqa: ARG002
        """Stages whose answers its model was trained on, each with the fingerprints that they had.

        No fingerprint of a stage, or one that no stage has: nobody knows how they were made.

        Args:
            base: Where relative paths of the configuration start.
        """
        return {}

    def origin(self, base: Path, fingerprint: str) -> str:  # noqa: ARG002
        """The fingerprint of the stage that made its answers.

        Args:
            base: Where relative paths of the configuration start.
            fingerprint: Its own in this run; the answer, unless it repeats those of another run.
        """
        return fingerprint

    def settled(self, base: Path) -> Self:  # noqa: ARG002
        """The same, with what its model says where nobody else has said it.

        Args:
            base: Where relative paths of the configuration start.

        Raises:
            UserError: If the model is not there, or its settings cannot be read.
        """
        return self

    def notes(self, base: Path) -> tuple[str, ...]:  # noqa: ARG002
        """What a reader of its answers should know of its model, a line each.

        Args:
            base: Where relative paths of the configuration start.
        """
        return ()

    def scripts(self) -> frozenset[str]:
        """Scripts that its model was trained on (:mod:`riveg.text.scripts`); empty: not known."""
        return frozenset()

    def contents(self, base: Path) -> Mapping[str, str]:  # noqa: ARG002
        """Digests of what shapes the answers and lies outside the configuration: prompts, weights.

        Args:
            base: Where relative paths of the configuration start.
        """
        return {}
