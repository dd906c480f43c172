"""Weights from disk to a device: tensors only, no code from outside, no download."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from riveg.config.threads import count_cores
from riveg.errors import UserError, reason
from riveg.vision.runtime.checkpoint_files import import_torch
from riveg.vision.runtime.options import TorchOptions
from riveg.vision.runtime.pickled_weights import read_pickled_weights

if TYPE_CHECKING:
    import torch

from riveg.checkpoints.folders import has_only_pickles, require_own_files
from riveg.checkpoints.tokenizer_files import require_bounded_files, require_bounded_tokenizer

Network = TypeVar("Network")

_MOST_WORKERS = 8


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
    # bfloat16 even where autocast is off: that of the CPU warns about float32.
    number = placement.dtype if enabled else torch.bfloat16
    return torch.autocast(placement.device.type, dtype=number, enabled=enabled)


def _best_device(torch: Any) -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def worker_count(options: TorchOptions) -> int:
    """The number of processes that ``workers`` means."""
    if options.workers != "auto":
        return options.workers
    if place(options.device, options.dtype).device.type == "cpu":
        return 0
    return min(_MOST_WORKERS, count_cores() - 1)


def load_model(
    kind: Any, folder: Path, options: TorchOptions, compiled: tuple[str, ...] = ()
) -> Any:
    """A transformers network in evaluation mode on its device.

    Args:
        kind: Its class, with ``from_pretrained``.
        folder: Its files.
        options: Device, number type, attention, compilation.
        compiled: Names of the modules to compile: those that are called by themselves, where the
            whole network is not.

    Raises:
        UserError: If the files are no such model, lack some of its weights or hold what is no
            number, or hold neither safetensors nor a pickle of tensors only.
    """
    placement = place(options.device, options.dtype)
    require_own_files(folder)
    attention = {} if options.attention == "auto" else {"attn_implementation": options.attention}
    try:
        with silent_transformers():
            network, loaded = kind.from_pretrained(
                **_weights_of(kind, folder),
                dtype=placement.dtype,
                output_loading_info=True,
                **attention,
            )
    except UserError:
        raise
    except Exception as error:  # safetensors, tokenizers and whatever odd numbers cause
        raise _not_loaded(folder, kind, error) from error
    require_weights(loaded["missing_keys"], folder, f" of a {kind.__name__}")
    require_numbers(network, folder)
    network = network.to(placement.device).eval()
    for part in compiled if options.compile else ():
        network.get_submodule(part).compile()
    return network


def _weights_of(kind: Any, folder: Path) -> dict[str, Any]:
    """Where a network's weights come from, as arguments for the library.

    Raises:
        UserError: If a pickle holds more than tensors.
    """
    safely = {"local_files_only": True, "trust_remote_code": False}
    if not has_only_pickles(folder):
        return {"pretrained_model_name_or_path": folder, "use_safetensors": True, **safely}
    config = kind.config_class.from_pretrained(folder, **safely)
    weights = read_pickled_weights(folder)
    return {"pretrained_model_name_or_path": None, "config": config, "state_dict": weights}


def shared_network(
    networks: dict[Hashable, Any],
    load: Callable[[Path, TorchOptions], Network],
    folder: Path,
    options: TorchOptions,
) -> Network:
    """The network of a folder, loaded once for all backends that are built together.

    Args:
        networks: Those that are loaded already; a new one is added.
        load: Loads a network; it looks at none but those options by which networks differ here.
        folder: Its files.
        options: Device, number type, attention, compilation, batch size.

    Raises:
        UserError: As ``load`` raises it.
    """
    here = (options.device, options.dtype, options.attention, options.compile, options.batch_size)
    key = (load, folder.resolve(), *here)
    if key not in networks:
        networks[key] = load(folder, options)
    network: Network = networks[key]
    return network


def require_weights(
    missing: Iterable[str], place: Path, whose: str = "", *, unused: tuple[str, ...] = ()
) -> None:
    """Makes sure that a network has all its weights.

    The library would fill the others with random numbers and only log that.

    Args:
        missing: Names of the weights that the library did not find.
        place: Where it looked.
        whose: The weights' network, for the message.
        unused: What names of weights begin with that nobody looks at.

    Raises:
        UserError: If there is any; begins with ``place``.
    """
    lacking = sorted(name for name in missing if not name.startswith(unused))
    if lacking:
        raise UserError(f"{place}: lacks {len(lacking)} weights{whose}, for example {lacking[0]}")


def require_numbers(network: Any, place: Path) -> None:
    """Makes sure that no weight is infinite or NaN: there would be answers, or none, of nothing.

    Raises:
        UserError: If one is; begins with ``place``.
    """
    for name, weights in network.named_parameters():
        if not weights.isfinite().all():
            raise UserError(f"{place}: holds weights that are no numbers, in {name:.200}")


@contextmanager
def silent_transformers() -> Iterator[None]:
    """Without its progress bars and log lines, which would break riveg's own progress.

    riveg itself reports missing weights; additional ones do no harm.
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
        UserError: If its files are not there, or its tokenizer makes too much of a text.
    """
    require_own_files(folder)
    require_bounded_files(folder)
    try:
        with silent_transformers():
            loaded = kind.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False, **more
            )
    except Exception as error:  # tokenizers raises no narrower class
        raise _not_loaded(folder, kind, error) from error
    require_bounded_tokenizer(loaded, folder)
    return loaded


def _not_loaded(folder: Path, kind: Any, error: Exception) -> UserError:
    return UserError(f"{folder}: cannot be loaded as {kind.__name__}: {reason(error)}")
