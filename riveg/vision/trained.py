"""Models that ``riveg train`` has made keep, beside their weights, how they want to be asked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Generic, Self, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from riveg.errors import UserError, reason
from riveg.files import write_atomically
from riveg.formats.json_files import checked, read_json
from riveg.vision.runtime.options import TorchOptions


class TrainedSettings(BaseModel):
    """How a model is asked.

    ``file`` names them in the model's folder, ``trainee`` is who writes them. ``taught``: the
    fields by which the model's inputs were made when it learnt.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    file: ClassVar[str]
    trainee: ClassVar[str]
    taught: ClassVar[tuple[str, ...]] = ("query",)

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """What a model's folder says; ``None`` where riveg has not trained the model.

        Raises:
            UserError: If the file is not of such a training.
        """
        path = folder / cls.file
        if not path.exists():
            return None
        where = f"{path}: is not of riveg train {cls.trainee}"
        try:
            return checked(cls, read_json(path), where)
        except (OSError, ValueError) as error:
            raise UserError(f"{where} ({reason(error)})") from error

    def write(self, folder: Path) -> None:
        """Writes the file.

        Raises:
            UserError: If it cannot be written.
        """
        write_atomically(folder / self.file, [f"{self.model_dump_json(indent=2)}\n".encode()])


Settings = TypeVar("Settings", bound=TrainedSettings)


class AskedAsTrained(TorchOptions, Generic[Settings]):
    """Options of a backend whose model may say itself how it is asked.

    A backend has fields of the names of the settings; ``None`` leaves one to the model.
    """

    def usual(self) -> Settings:
        """How a published model is asked."""
        raise NotImplementedError

    def trained(self, base: Path) -> Settings | None:
        """What the model's folder says, if riveg has trained the model.

        Args:
            base: Where a relative folder starts.

        Raises:
            UserError: If the model is not there, or its file is not of such a training.
        """
        return type(self.usual()).read(self.folder(base))

    def asked(self, base: Path) -> Settings:
        """How it is asked: as it says here, else as the model was trained, else as usual.

        Args:
            base: Where a relative folder starts.

        Raises:
            UserError: As of :meth:`trained` and :meth:`over`.
        """
        return self.over(self.trained(base) or self.usual())

    def over(self, known: Settings) -> Settings:
        """Settings, with what is said here in place of theirs.

        Raises:
            UserError: If the two do not fit together.
        """
        said = self.model_dump(include={*type(known).model_fields}, exclude_none=True)
        try:
            return type(known)(**{**known.model_dump(), **said})
        except ValidationError as error:
            (first, *_) = error.errors(include_url=False, include_input=False)
            told = first["msg"].removeprefix("Value error, ")
            left = ", ".join(f"{name} {value!r}" for name, value in known if name not in said)
            raise UserError(
                f"{self.model}: {told}; what the system leaves out is {left}"
            ) from error

    def settled(self, base: Path) -> Self:
        """With everything said."""
        asked = self.asked(base)
        return self.model_copy(update=asked.model_dump(include={*type(self).model_fields}))

    def notes(self, base: Path) -> tuple[str, ...]:
        """In what a model that riveg has trained is asked otherwise than in its training."""
        trained = self.trained(base)
        return () if trained is None else tuple(self._differences(trained))

    def _differences(self, trained: Settings) -> Iterator[str]:
        asked = self.over(trained)
        for name in type(trained).taught:
            was, now = getattr(trained, name), getattr(asked, name)
            if was != now:
                yield (
                    f"{self.model} was trained with {name} {was!r} and is asked with {now!r}: its "
                    "answers, and thresholds that were chosen for it, may be worse than they could "
                    "be"
                )
