"""A trained sequence tagger on disk: reading and writing its folder.

The folder holds ``tagger.json``, the encoder's ``config.json``, ``tokenizer.json``, and the weights
of encoder and heads in ``model.safetensors``.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from riveg.checkpoints.tokenizer_files import read_tokenizer
from riveg.errors import UserError
from riveg.files import write_atomically
from riveg.nn.encoders import empty_encoder, most_pieces
from riveg.nn.sequence_tagger import SequenceTagger
from riveg.nn.tagger_design import SETTINGS, TaggerSettings
from riveg.nn.word_pieces import WordPieceWindows
from riveg.vision.runtime.loading import require_numbers

if TYPE_CHECKING:
    from tokenizers import Tokenizer

WEIGHTS = "model.safetensors"


def write_network(folder: Path, network: SequenceTagger, tokenizer: Tokenizer) -> None:
    """Writes weights, ``config.json`` and ``tokenizer.json``.

    Raises:
        UserError: If a file cannot be written.
    """
    from safetensors.torch import save

    weights = {
        name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()
    }
    # Libraries that write files themselves tell of a full disk in errors of their own.
    config = network.encoder.config.to_json_string()
    write_atomically(folder / "config.json", [config.encode()])
    write_atomically(folder / WEIGHTS, [save(weights, {"format": "pt"})])
    write_atomically(folder / "tokenizer.json", [tokenizer.to_str(pretty=True).encode()])


def read_network(folder: Path, settings: TaggerSettings) -> SequenceTagger:
    """The network on the CPU in float32, in evaluation mode.

    Raises:
        UserError: If the weights are not those of the settings or no numbers, or ``max_pieces`` is
            more than the encoder has positions for.
    """
    import torch
    from safetensors.torch import load_file

    path = folder / WEIGHTS
    others = f"{path}: holds not the weights that {SETTINGS} and config.json describe"
    try:
        weights = load_file(path)
    except Exception as error:  # safetensors raises classes of its own
        raise UserError(others) from error
    # On no device at first: what config.json says may need any memory.
    with torch.device("meta"):
        for name, value in empty_encoder(folder).state_dict().items():
            own = weights.get(f"encoder.{name}")
            if own is None or own.shape != value.shape:
                raise UserError(others)
    encoder = empty_encoder(folder)
    require_positions(encoder, settings.max_pieces)
    network = SequenceTagger(encoder, settings.design)
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise UserError(others) from error
    require_numbers(network, path)
    return network.eval()


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
