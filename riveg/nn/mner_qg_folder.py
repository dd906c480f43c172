"""A trained MNER-QG on disk: reading and writing its folder.

The folder holds ``mner-qg.json``, the encoder's ``config.json``, ``tokenizer.json``, the backbone's
``backbone/config.json``, and all weights in ``model.safetensors``.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from riveg.checkpoints.tokenizer_files import read_tokenizer
from riveg.errors import UserError
from riveg.files import make_folder, write_atomically
from riveg.nn.backbones import empty_backbone, scale_grids
from riveg.nn.encoders import empty_encoder
from riveg.nn.mner_qg import MnerQg
from riveg.nn.mner_qg_design import SETTINGS, MnerQgSettings
from riveg.nn.own_weights import WEIGHTS, OwnWeights, write_weights
from riveg.nn.query_windows import QueryWindows
from riveg.nn.tagger_folder import require_pieces, require_positions

if TYPE_CHECKING:
    from tokenizers import Tokenizer

FILES = (
    SETTINGS,
    WEIGHTS,
    "config.json",
    "tokenizer.json",
    "backbone/config.json",
)
_BACKBONE = "backbone"


def write_network(folder: Path, network: MnerQg, tokenizer: Tokenizer) -> None:
    """Writes weights, both ``config.json`` and ``tokenizer.json``.

    Raises:
        UserError: If a file cannot be written.
    """
    make_folder(folder / _BACKBONE)
    encoder = network.encoder.config.to_json_string()
    backbone = network.image.backbone.config.to_json_string()
    write_atomically(folder / "config.json", [encoder.encode()])
    write_atomically(folder / _BACKBONE / "config.json", [backbone.encode()])
    write_weights(folder, network)
    write_atomically(folder / "tokenizer.json", [tokenizer.to_str(pretty=True).encode()])


def read_network(folder: Path, settings: MnerQgSettings) -> MnerQg:
    """The network on the CPU in float32, in evaluation mode.

    Raises:
        UserError: If the weights are not those of the settings or no numbers, ``max_pieces`` is
            more than the encoder has positions for, or the backbone has other scales.
    """
    weights = OwnWeights(folder, f"{SETTINGS} and both config.json")
    weights.require(
        {
            "encoder.": partial(empty_encoder, folder),
            "image.backbone.": partial(empty_backbone, folder / _BACKBONE),
        }
    )
    encoder, backbone = empty_encoder(folder), empty_backbone(folder / _BACKBONE)
    require_positions(encoder, settings.max_pieces)
    design = settings.design
    if scale_grids(backbone, design.image_side, folder / _BACKBONE) != design.grids:
        raise UserError(f"{folder / SETTINGS}: its grids are not those of the backbone")
    network = MnerQg(encoder, backbone, design)
    weights.load_into(network)
    return network


def read_windows(folder: Path, settings: MnerQgSettings, network: MnerQg) -> QueryWindows:
    """What cuts texts for the network of the same folder.

    Raises:
        UserError: If there is no usable tokenizer, or it has pieces that the encoder does not know.
    """
    path = folder / "tokenizer.json"
    tokenizer = read_tokenizer(path)
    require_pieces(network.encoder, tokenizer, path)
    return QueryWindows(tokenizer, settings.queries, max_pieces=settings.max_pieces)
