"""A trained sequence tagger on disk: reading and writing its folder.

The folder holds ``tagger.json``, the encoder's ``config.json``, ``tokenizer.json``, and the weights
of encoder and heads in ``model.safetensors``.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from riveg.checkpoints.tokenizer_files import read_tokenizer
from riveg.errors import UserError
from riveg.files import write_atomically
from riveg.nn.encoders import empty_encoder, most_pieces
from riveg.nn.own_weights import OwnWeights, write_weights
from riveg.nn.sequence_tagger import SequenceTagger
from riveg.nn.tagger_design import SETTINGS, TaggerSettings
from riveg.nn.word_pieces import WordPieceWindows

if TYPE_CHECKING:
    from tokenizers import Tokenizer


def write_network(folder: Path, network: SequenceTagger, tokenizer: Tokenizer) -> None:
    """Writes weights, ``config.json`` and ``tokenizer.json``.

    Raises:
        UserError: If a file cannot be written.
    """
    config = network.encoder.config.to_json_string()
    write_atomically(folder / "config.json", [config.encode()])
    write_weights(folder, network)
    write_atomically(folder / "tokenizer.json", [tokenizer.to_str(pretty=True).encode()])


def read_network(folder: Path, settings: TaggerSettings) -> SequenceTagger:
    """The network on the CPU in float32, in evaluation mode.

    Raises:
        UserError: If the weights are not those of the settings or no numbers, or ``max_pieces`` is
            more than the encoder has positions for.
    """
    weights = OwnWeights(folder, f"{SETTINGS} and config.json")
    weights.require({"encoder.": partial(empty_encoder, folder)})
    encoder = empty_encoder(folder)
    require_positions(encoder, settings.max_pieces)
    network = SequenceTagger(encoder, settings.design)
    weights.load_into(network)
    return network


def require_positions(encoder: Any, max_pieces: int) -> None:
    """Makes sure that windows fit into an encoder.

    Raises:
        UserError: If they do not.
    """
    most = most_pieces(encoder)
    if max_pieces > most:
        raise UserError(f"max_pieces: {max_pieces}: this encoder reads {most} at most")


def require_pieces(encoder: Any, tokenizer: Tokenizer, path: Path) -> None:
    """Makes sure that an encoder has a vector for each piece of a tokenizer.

    Raises:
        UserError: If it has not; begins with ``path``.
    """
    pieces = {*tokenizer.get_vocab().values(), *tokenizer.encode("").ids}
    known = encoder.get_input_embeddings().num_embeddings
    if pieces and max(pieces) >= known:
        raise UserError(
            f"{path}: has the piece {max(pieces)}, the encoder knows {known}: they are of two "
            "models"
        )


def read_windows(folder: Path, settings: TaggerSettings, encoder: Any) -> WordPieceWindows:
    """What cuts texts for the network of the same folder.

    Raises:
        UserError: If there is no usable tokenizer, or it has pieces that the encoder does not know.
    """
    path = folder / "tokenizer.json"
    tokenizer = read_tokenizer(path)
    require_pieces(encoder, tokenizer, path)
    return WordPieceWindows(tokenizer, max_pieces=settings.max_pieces)
