"""Weights from disk to a device: safetensors only, no code from outside, no download."""

from __future__ import annotations

import os
import pickle
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from riveg.errors import MissingExtra, MissingModel, UserError
from riveg.models.torch_options import ModelFiles, TorchOptions
from riveg.resources import file_digest

if TYPE_CHECKING:
    import torch

EXTRA = "models"
FETCHED = ("*.safetensors", "*.json", "*.txt", "*.model", "*.jinja")
"""Files of a model that are downloaded: weights that cannot run code, vocabularies, settings."""
LEFT = ("*/*",)
"""Files that are not: folders hold the same weights once more, for other libraries."""
_MOST_WORKERS = 8
OF_OTHER_CONTENT = (
    *(OSError, EOFError, pickle.UnpicklingError, RuntimeError),
    *(LookupError, TypeError, ValueError, AttributeError),
)
"""What reading a ``.pth`` file raises where it holds no checkpoint, or another network's."""
_UNUSABLE = (OSError, LookupError, TypeError, ValueError, AttributeError, RuntimeError, ImportError)
"""What transformers raises of files that are damaged or another model's, or of a wrong option."""
_SHAPING = ("*.safetensors", "*.json", "*.txt", "*.model")
"""Files of a model folder that shape its answers."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a network runs and in which numbers."""

    device: torch.device
    dtype: torch.dtype


def place(device: str, dtype: str) -> Placement:
    """The device and number type that options mean.

    Raises:
        MissingExtra: If torch is not installed.
        UserError: If the device is not there.
    """
    torch = import_torch()
    name = _best_device(torch) if device == "auto" else device
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise UserError(f"device: {name}: torch sees no CUDA device; say cpu or auto")
    if name.startswith("cuda:") and int(name[5:]) >= torch.cuda.device_count():
        raise UserError(f"device: {name}: torch sees {torch.cuda.device_count()}, from cuda:0 on")
    if name == "mps" and not torch.backends.mps.is_available():
        raise UserError("device: mps: torch sees no such device; say cpu or auto")
    if dtype == "auto":
        has_bfloat16 = name.startswith("cuda") and torch.cuda.is_bf16_supported()
        dtype = "bfloat16" if has_bfloat16 else "float32"
    return Placement(torch.device(name), getattr(torch, dtype))


def autocast(placement: Placement) -> Any:
    """A context in which products are computed in the placement's number type."""
    torch = import_torch()
    enabled = placement.dtype != torch.float32
    # Told bfloat16 even when off: CPU's autocast warns about float32.
    number = placement.dtype if enabled else torch.bfloat16
    return torch.autocast(placement.device.type, dtype=number, enabled=enabled)


def import_torch() -> Any:
    """torch.

    Raises:
        MissingExtra: If it is not installed.
    """
    try:
        import torch
    except ImportError as error:
        raise MissingExtra("this backend", "torch", EXTRA) from error
    return torch


def _best_device(torch: Any) -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def worker_count(options: TorchOptions) -> int:
    """How many processes ``workers`` means."""
    if options.workers != "auto":
        return options.workers
    if place(options.device, options.dtype).device.type == "cpu":
        return 0
    return min(_MOST_WORKERS, max(0, (os.cpu_count() or 1) - 1))


def model_folder(options: TorchOptions | ModelFiles, base: Path) -> Path:
    """The folder with a model's files: a local one, or that of the hub's cache.

    Args:
        options: ``model`` and ``revision``.
        base: Where a relative folder starts.

    Raises:
        UserError: If the model is not there; says how to get it.
    """
    wanted = options.own_files()[0] if isinstance(options, TorchOptions) else options
    local = base / wanted.model
    found = local if local.is_dir() else _cached(wanted)
    if wanted.files and not (found / wanted.files[0]).is_file():
        raise UserError(f"{found}: expected a file {wanted.files[0]} in it ({wanted.setting})")
    return found


def model_file(wanted: ModelFiles, base: Path) -> Path:
    """The first of a model's files; ``model`` may also name it itself.

    Args:
        wanted: Of one file at least.
        base: Where a relative path starts.

    Raises:
        UserError: If it is not there; says how to get it.
    """
    local = base / wanted.model
    return local if local.is_file() else model_folder(wanted, base) / wanted.files[0]


def files_to_fetch(wanted: ModelFiles) -> dict[str, Any]:
    """Which files of a model are downloaded, as arguments for the hub's library."""
    if wanted.files:
        return {"allow_patterns": [*wanted.files]}
    return {"allow_patterns": [*FETCHED], "ignore_patterns": [*LEFT]}


def _cached(wanted: ModelFiles) -> Path:
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError
    except ImportError as error:
        raise MissingExtra("a model of the hub", "huggingface_hub", EXTRA) from error
    try:
        # Of a model that `riveg fetch` got, the hub's library would miss the files that it left.
        found = snapshot_download(
            wanted.model,
            revision=wanted.revision,
            local_files_only=True,
            **files_to_fetch(wanted),
        )
    except HFValidationError as error:
        raise UserError(_not_here(wanted)) from error
    except (LocalEntryNotFoundError, FileNotFoundError) as error:
        raise MissingModel(_not_here(wanted)) from error
    if wanted.files and not (Path(found) / wanted.files[0]).is_file():
        raise MissingModel(_not_here(wanted))
    return Path(found)


def _not_here(wanted: ModelFiles) -> str:
    name = f"{wanted.model} ({wanted.files[0]})" if wanted.files else wanted.model
    return (
        f"{wanted.setting} {name}: neither a folder nor in the cache of the hub "
        f"({cache_name()}); `riveg fetch SYSTEM` gets a system's models, --list shows them"
    )


def cache_name() -> str:
    """Where the hub's cache is, for messages."""
    return os.environ.get("HF_HOME", "~/.cache/huggingface")


def load_model(
    kind: Any, folder: Path, options: TorchOptions, compiled: tuple[str, ...] = ()
) -> Any:
    """A transformers network in evaluation mode on its device.

    Args:
        kind: Its class, with ``from_pretrained``.
        folder: Its files.
        options: Device, number type, attention, compilation.
        compiled: Names of modules in the network that compilation concerns: those that are called
            on their own, where the whole is not.

    Raises:
        UserError: If the files are no such model, lack some of its weights, or hold no safetensors.
    """
    placement = place(options.device, options.dtype)
    from safetensors import SafetensorError

    attention = {} if options.attention == "auto" else {"attn_implementation": options.attention}
    try:
        with _silence():
            network, loaded = kind.from_pretrained(
                folder,
                dtype=placement.dtype,
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=False,
                output_loading_info=True,
                **attention,
            )
    except (*_UNUSABLE, SafetensorError) as error:
        raise _not_loaded(folder, kind, error) from error
    missing = sorted(loaded["missing_keys"])
    if missing:
        # The library would fill them with random numbers and only log it.
        raise UserError(
            f"{folder}: lacks {len(missing)} weights of a {kind.__name__}, for example {missing[0]}"
        )
    network = network.to(placement.device).eval()
    for part in compiled if options.compile else ():
        network.get_submodule(part).compile()
    return network


@contextmanager
def _silence() -> Iterator[None]:
    """transformers without progress bars and remarks, which would tear riveg's own progress.

    Weights that are missing are riveg's to tell; those that are too many do no harm.
    """
    from transformers.utils import logging

    verbosity, shows_bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if shows_bars:
            logging.enable_progress_bar()


def load_processor(kind: Any, folder: Path, **more: Any) -> Any:
    """A transformers processor or tokenizer.

    Raises:
        UserError: If its files are not there.
    """
    try:
        with _silence():
            return kind.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False, **more
            )
    except _UNUSABLE as error:
        raise _not_loaded(folder, kind, error) from error


def _not_loaded(folder: Path, kind: Any, error: Exception) -> UserError:
    reason = " ".join(str(error).split())[:300]
    return UserError(f"{folder}: cannot be loaded as {kind.__name__}: {reason}")


def read_checkpoint(path: Path, what: str) -> Any:
    """What a ``.pth`` file holds: numbers and their names, for what else is in it is not read.

    Args:
        path: The file.
        what: What it should be, for the message.

    Raises:
        UserError: If it is damaged, or holds anything else.
    """
    torch = import_torch()
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Detected pickle protocol")
            return torch.load(path, map_location="cpu", weights_only=True)
    except OF_OTHER_CONTENT as error:
        # The library's own words are to read it without safety.
        raise UserError(
            f"{path}: is no {what}: it is damaged, or holds more than weights, which is not read"
        ) from error


def model_contents(options: TorchOptions, base: Path) -> Mapping[str, str]:
    """A backend's ``contents``: digests of the files that shape a model's answers.

    Raises:
        UserError: If the model is not there.
    """
    folder = model_folder(options, base)
    files = sorted({path for pattern in _SHAPING for path in folder.glob(pattern)})
    return {path.name: file_digest(path) for path in files}
