"""``models.lock``: which commit of each model was fetched, and what its files were.

JSON, as a program writes it and others read it: its texts never turn into numbers or dates.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePath, PurePosixPath
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from riveg.checkpoints.folders import PICKLED
from riveg.errors import UserError, reason
from riveg.files import open_regular, write_atomically
from riveg.formats.json_files import checked, read_json

LOCK = "models.lock"
"""The usual name of the file, in the folder where riveg is started."""

_WEIGHTS = ("*.safetensors", PICKLED)

_Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


def _inside(path: str) -> str:
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or "\\" in path:
        raise ValueError("expected a path inside of the model's folder")
    return path


_Path = Annotated[str, AfterValidator(_inside)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class LockedFile(_Strict):
    """A file of a model: its path in the model's folder, its size in bytes, and its SHA-256."""

    path: _Path
    size: int = Field(ge=0)
    sha256: _Digest


class LockedModel(_Strict):
    """A model as it was fetched.

    ``revision``: the commit; ``asked``: the branch, tag or commit that was asked for, ``None`` for
    the model's main branch.
    """

    name: str = Field(min_length=1)
    revision: Annotated[str, Field(pattern=r"^[0-9a-f]{40,64}$")]
    asked: str | None = None
    files: tuple[LockedFile, ...]


class ModelLock(_Strict):
    """All models that were fetched, by name."""

    version: Literal[1] = 1
    models: tuple[LockedModel, ...] = ()

    def of(self, name: str, *, is_folder: bool = False) -> LockedModel | None:
        """The entry of a hub's id; of a folder, that of the id in which its path ends."""
        parts = PurePath(name).parts
        for one in self.models:
            own = PurePath(one.name).parts
            if one.name == name or (is_folder and parts[-len(own) :] == own):
                return one
        return None

    def with_model(self, new: LockedModel) -> ModelLock:
        """The lock with an entry in place of that of its name.

        Of the same commit, files that were fetched before stay.
        """
        old = self.of(new.name)
        if old is not None and old.revision == new.revision:
            files = {one.path: one for one in (*old.files, *new.files)}
            new = new.model_copy(update={"files": tuple(files[key] for key in sorted(files))})
        others = [one for one in self.models if one.name != new.name]
        return ModelLock(models=tuple(sorted((*others, new), key=lambda one: one.name)))


def read_lock(path: Path) -> ModelLock:
    """The lock in a file.

    Raises:
        UserError: If it cannot be read, or is none.
    """
    try:
        values = read_json(path)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as JSON ({reason(error)})") from error
    return checked(ModelLock, values, f"{path}: is no lock of models")


def write_lock(path: Path, lock: ModelLock) -> None:
    """Replaces the file."""
    text = json.dumps(lock.model_dump(mode="json"), indent=1, ensure_ascii=False)
    write_atomically(path, [text.encode() + b"\n"])


def locked_model(
    name: str, revision: str, asked: str | None, folder: Path, files: Iterable[Path]
) -> LockedModel:
    """The entry of a model whose files lie in a folder.

    Raises:
        UserError: If one cannot be read.
    """
    found = [_locked_file(path, path.relative_to(folder).as_posix()) for path in sorted(files)]
    return LockedModel(name=name, revision=revision, asked=asked, files=tuple(found))


def lock_notes(models: Iterable[tuple[str, Path | None, bool]], lock: Path) -> Iterator[str]:
    """Makes sure that the models of a run are the locked ones; a line for each that has no entry.

    Args:
        models: Their names, their folders (``None``: not here), and whether the name is a folder's.
        lock: The file.

    Raises:
        UserError: If the lock cannot be read, or a file differs from it.
    """
    entries = read_lock(lock)
    for name, folder, is_local in dict.fromkeys(models):
        entry = entries.of(name, is_folder=is_local)
        if folder is not None and entry is not None:
            require_locked_files(entry, folder if folder.is_dir() else folder.parent, lock)
        elif folder is not None and not is_local:
            yield f"{lock} does not name {name}: nobody knows whether its files are the same"


def require_locked_files(model: LockedModel, folder: Path, lock: Path) -> None:
    """Makes sure that a model's files are the locked ones, and that there are no other weights.

    Raises:
        UserError: Naming the first file that differs.
    """
    for fault in _faults(model, folder):
        raise UserError(
            f"{fault}, by {lock} ({model.name} at {model.revision[:12]}); riveg fetch SYSTEM "
            "--locked gets the locked files, without --locked it locks those of today"
        )


def _faults(model: LockedModel, folder: Path) -> Iterator[str]:
    for one in model.files:
        path = folder / one.path
        if not path.is_file():
            yield f"{path}: is missing"
        elif path.stat().st_size != one.size:
            yield f"{path}: has {path.stat().st_size} bytes and not {one.size}"
        elif (found := _locked_file(path, one.path).sha256) != one.sha256:
            yield f"{path}: has the SHA-256 {found[:12]} and not {one.sha256[:12]}"
    known = {one.path for one in model.files}
    for path in sorted(_weights(folder)):
        if path.name not in known:
            yield f"{path}: are weights that nobody has locked"


def _weights(folder: Path) -> Sequence[Path]:
    return [path for pattern in _WEIGHTS for path in folder.glob(pattern)]


def _locked_file(path: Path, name: str) -> LockedFile:
    try:
        with open_regular(path) as handle:
            digest = hashlib.file_digest(handle, "sha256").hexdigest()  # type: ignore[arg-type]
        return LockedFile(path=name, size=path.stat().st_size, sha256=digest)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
