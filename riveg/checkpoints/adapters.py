"""LoRA adapters as peft writes them: where one lies, its rank, its digest, whether it fits."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from riveg.checkpoints.folders import ModelFiles, model_folder
from riveg.errors import UserError, reason
from riveg.files import file_digest, open_regular, text_digest
from riveg.formats.json_files import checked, parse_json, read_json
from riveg.llm.endpoint import Endpoint

SETTINGS, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
ADAPTER_FILES = (WEIGHTS, SETTINGS)
"""The files of an adapter that are used."""

_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""The ranks that vLLM makes room for."""

_HUB_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
_READS_HIDDEN = re.compile(r"\.(?:q_proj|k_proj|v_proj|gate_proj|up_proj)\.lora_A\.weight$")
"""Weights whose second dimension is the width of a network."""
_MOST_HEADER_BYTES = 100_000_000
"""Of a safetensors file; the library's own limit."""


@dataclass(frozen=True, slots=True)
class Adapter:
    """A LoRA adapter on disk.

    Args:
        folder: Where it is, absolute.
        room: The lowest rank that vLLM makes room for and that is enough.
        digest: Of its weights and settings.
    """

    folder: Path
    room: int
    digest: str


_Rank = Annotated[int, Field(ge=1, le=_RANKS[-1])]


class _Settings(BaseModel):
    """The keys of ``adapter_config.json`` that riveg reads."""

    peft_type: Literal["LORA"]
    r: _Rank
    rank_pattern: dict[str, _Rank] | None = None
    base_model_name_or_path: str | None = None


def adapter_files(endpoint: Endpoint) -> ModelFiles | None:
    """The files of an endpoint's adapter; ``None`` where it has none."""
    if endpoint.adapter is None:
        return None
    return ModelFiles(
        endpoint.adapter,
        setting="adapter",
        files=ADAPTER_FILES,
        trained_by=endpoint.trained_by,
    )


def adapter_of(endpoint: Endpoint) -> Adapter | None:
    """An endpoint's adapter, checked; ``None`` where it has none.

    Raises:
        UserError: If it is not here, no LoRA adapter of peft, or one for another model.
    """
    files = adapter_files(endpoint)
    if files is None:
        return None
    # Servers and engines look for a folder from where riveg is started.
    local = Path(files.model).is_dir()
    folder = (model_folder if local else _fetched_folder)(files, Path()).absolute()
    if not (folder / SETTINGS).is_file():
        raise UserError(f"{folder}: expected a file {SETTINGS} in it (adapter)")
    # Asked for with every request, and read anew when the files have changed.
    stamps = tuple((folder / name).stat() for name in ADAPTER_FILES)
    return _read(folder, endpoint.model, tuple((one.st_mtime_ns, one.st_size) for one in stamps))


def shaping(endpoint: Endpoint) -> dict[str, Any]:
    """What shapes an endpoint's responses, the weights of its adapter among it.

    Raises:
        UserError: As :func:`adapter_of`.
    """
    adapter = adapter_of(endpoint)
    return endpoint.shaping() | ({} if adapter is None else {"adapter": adapter.digest})


_fetched_folder = lru_cache(maxsize=16)(model_folder)
"""The hub's library takes milliseconds to find a model in its cache."""


@lru_cache(maxsize=16)
def _read(folder: Path, model: str, _: tuple[tuple[int, int], ...]) -> Adapter:
    path = folder / SETTINGS
    try:
        values = read_json(path)
        settings = checked(_Settings, values, f"{path}: describes no LoRA adapter")
        _require_fit(folder, model, settings.base_model_name_or_path)
        digest = text_digest("\n".join(file_digest(folder / name) for name in ADAPTER_FILES))
    except (OSError, ValueError) as error:
        raise UserError(f"{folder}: the adapter cannot be read ({reason(error)})") from error
    rank = max(settings.r, *(settings.rank_pattern or {}).values(), 1)
    return Adapter(folder, next(room for room in _RANKS if room >= rank), digest)


def _require_fit(folder: Path, model: str, base: str | None) -> None:
    """Refuses an adapter that is plainly for another model: by the width, else by the name.

    Raises:
        UserError: If it is.
    """
    width = _width(Path(model))
    # Of a vision tower, there may be others among them.
    made_for = {*_widths(folder / WEIGHTS)}
    if width is not None and made_for and width not in made_for:
        raise UserError(
            f"{folder}: is an adapter for a model of width {max(made_for)}"
            f"{f' ({base:.200})' if base else ''}, and {model} has {width}; name the model that it "
            "was trained on"
        )
    if width is None and base and _is_another(base, model):
        raise UserError(
            f"{folder}: is an adapter for {base}, and the model is {model}; name the model that it "
            "was trained on"
        )


def _is_another(base: str, model: str) -> bool:
    """Whether two ids of the hub are of different models; owners and quantised forms are alike."""
    if not (_HUB_ID.fullmatch(base) and _HUB_ID.fullmatch(model)):
        return False
    first, second = (name.rpartition("/")[2].casefold() for name in (base, model))
    return not (first.startswith(second) or second.startswith(first))


def _width(model: Path) -> int | None:
    """The width of a model in a folder, by its settings; ``None`` where nobody knows."""
    try:
        values = read_json(model / "config.json")
    except (OSError, ValueError):
        return None
    inner = values.get("text_config", values) if isinstance(values, Mapping) else {}
    width = inner.get("hidden_size") if isinstance(inner, Mapping) else None
    return width if isinstance(width, int) else None


def _widths(weights: Path) -> Iterator[int]:
    """The widths of the networks that weights of an adapter are for.

    Raises:
        ValueError: If it is no safetensors file, or a part of one.
    """
    with open_regular(weights) as handle:
        start = handle.read(8)
        size = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if not 2 <= size <= _MOST_HEADER_BYTES:
            raise ValueError(f"{WEIGHTS} is no file of safetensors")
        header = parse_json(handle.read(size))
        held = handle.seek(0, 2) - len(start) - size
    if held != (needed := _data_bytes(header)):
        raise ValueError(f"{WEIGHTS} has {held} bytes of weights instead of {needed}")
    for name, told in header.items() if isinstance(header, Mapping) else ():
        shape = told.get("shape") if isinstance(told, Mapping) else None
        if _READS_HIDDEN.search(name) and isinstance(shape, list) and len(shape) == 2:
            yield from (width for width in shape[1:] if isinstance(width, int))


def _data_bytes(header: Any) -> int:
    """How many bytes of weights follow a header of safetensors; 0 where it names none."""
    told = header.values() if isinstance(header, Mapping) else ()
    ends = (one.get("data_offsets") for one in told if isinstance(one, Mapping))
    pairs = (one for one in ends if isinstance(one, list) and len(one) == 2)
    return max((end for _, end in pairs if isinstance(end, int)), default=0)
