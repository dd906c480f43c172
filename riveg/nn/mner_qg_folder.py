"""A trained MNER-QG on disk: reading and writing its folder.

The folder holds ``mner-qg.json``, the encoder's ``config.json``, ``tokenizer.json``, the backbone's
``backbone/config.json``, and all weights in ``model.safetensors``.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from riveg.checkpoints.tokenizer_files import read_tokenizer
from riveg.errors import UserError
from riveg.files import make_folder, write_atomically
from riveg.nn.backbones import empty_backbone, scale_grids
from riveg.nn.encoders import empty_encoder
from riveg.nn.mner_qg import MnerQg
from riveg.nn.mner_qg_design import SETTINGS, MnerQgSettings
from riveg.nn.query_windows import QueryWindows
from riveg.nn.tagger_folder import require_pieces, require_positions
from riveg.vision.runtime.loading import require_numbers

if TYPE_CHECKING:
    from tokenizers import Tokenizer

FILES = (
    SETTINGS,
    "model.safetensors",
    "config.json",
    "tokenizer.json",
    "backbone/config.json",
)
_WEIGHTS = FILES[1]
_BACKBONE = "backbone"


def write_network(folder: Path, network: MnerQg, tokenizer: Tokenizer) -> None:
    """Writes weights, both ``config.json`` and ``tokenizer.json``.

    Raises:
        UserError: If a file cannot be written.
    """
    from safetensors.torch import save

    weights = {
        name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()
    }
    make_folder(folder / _BACKBONE)
    encoder = network.encoder.config.to_json_string()
    backbone = network.image.backbone.config.to_json_string()
    write_atomically(folder / "config.json", [encoder.encode()])
    write_atomically(folder / _BACKBONE / "config.json", [backbone.encode()])
    write_atomically(folder / _WEIGHTS, [save(weights, {"format": "pt"})])
    write_atomically(folder / "tokenizer.json", [tokenizer.to_str(pretty=True).encode()])


def read_network(folder: Path, settings: MnerQgSettings) -> MnerQg:
    """The network on the CPU in float32, in evaluation mode.

    Raises:
        UserError: If the weights are not those of the settings or no numbers, ``max_pieces`` is
            more than the encoder has positions for, or the backbone has other scales.
    """
    import torch
    from safetensors.torch import load_file

    path = folder / _WEIGHTS
    others = f"{path}: holds not the weights that {SETTINGS} and both config.json describe"
    try:
        weights = load_file(path)
    except Exception as error:  # safetensors raises classes of its own
        raise UserError(others) from error
    # On no device at first: what a config.json says may need any memory.
    with torch.device("meta"):
        parts = (
            ("encoder.", empty_encoder(folder)),
            ("image.backbone.", empty_backbone(folder / _BACKBONE)),
        )
    for prefix, part in parts:
        for name, value in part.state_dict().items():
            own = weights.get(f"{prefix}{name}")
            if own is None or own.shape != value.shape:
                raise UserError(others)
    encoder, backbone = empty_encoder(folder), empty_backbone(folder / _BACKBONE)
    require_positions(encoder, settings.max_pieces)
    design = settings.design
    if scale_grids(backbone, design.image_side, folder / _BACKBONE) != design.grids:
        raise UserError(f"{folder / SETTINGS}: its grids are not those of the backbone")
    network = MnerQg(encoder, backbone, design)
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise UserError(others) from error
    require_numbers(network, path)
    return network.eval()


def read_windows(folder: Path, settings: MnerQgSettings, network: MnerQg) -> QueryWindows:
    """What cuts texts for the network of the same folder.

    Raises:
        UserError: If there is no usable tokenizer, or it has pieces that the encoder does not know.
    """
    path = folder / "tokenizer.json"
    tokenizer = read_tokenizer(path)
    require_pieces(network.encoder, tokenizer, path)
    return QueryWindows(tokenizer, settings.queries, max_pieces=settings.max_pieces)
