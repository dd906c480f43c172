"""A trained sequence tagger on disk: what ``tagger.json`` says, reading and writing the folder.

The folder holds ``tagger.json``, the encoder's ``config.json``, ``tokenizer.json``, and the weights
of encoder and heads in ``model.safetensors``.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from riveg.checkpoints.tokenizer_files import read_tokenizer
from riveg.errors import UserError, reason
from riveg.files import write_atomically
from riveg.formats.json_files import checked, read_json
from riveg.nn.encoders import empty_encoder, most_pieces
from riveg.nn.sequence_tagger import SequenceTagger, TaggerDesign
from riveg.nn.word_pieces import WordPieceWindows

if TYPE_CHECKING:
    from tokenizers import Tokenizer

SETTINGS = "tagger.json"
WEIGHTS = "model.safetensors"
FILES = (SETTINGS, WEIGHTS, "config.json", "tokenizer.json")


class TaggerSettings(BaseModel):
    """What a trained tagger needs besides its weights.

    Args:
        design: Heads and tags.
        coarse_of: Fine label -> coarse label; empty where there are no fine labels.
        max_pieces: Pieces a window, special tokens included.
        knowledge: Whether knowledge is appended to the text.
        knowledge_is_scored: Whether words of knowledge are tagged, too, as RiVEG's code does.
        temperature: By which log-odds of probabilities are divided, so that they are calibrated.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    design: TaggerDesign
    coarse_of: dict[str, str] = Field(default_factory=dict)
    max_pieces: int = Field(ge=8, le=100_000)
    knowledge: Literal["none", "appended"] = "none"
    knowledge_is_scored: bool = False
    temperature: float = Field(default=1.0, gt=0)


def require_files(folder: Path, made_by: str) -> None:
    """Makes sure that a folder holds a trained tagger's files.

    Raises:
        UserError: If it lacks any.
    """
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        raise UserError(f"{folder} lacks {', '.join(missing)}; {made_by}")


def read_settings(folder: Path) -> TaggerSettings:
    """What ``tagger.json`` says.

    Raises:
        UserError: If it is not of a tagger of this kind.
    """
    path = folder / SETTINGS
    try:
        return checked(TaggerSettings, read_json(path), f"{path}: is not of a CRF tagger")
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: is not of a CRF tagger ({reason(error)})") from error


def write_settings(folder: Path, settings: TaggerSettings) -> None:
    """Writes ``tagger.json``.

    Raises:
        UserError: If the file cannot be written.
    """
    text = settings.model_dump_json(indent=2) + "\n"
    write_atomically(folder / SETTINGS, [text.encode()])


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
        UserError: If the weights are not those of the settings, or ``max_pieces`` is more than
            the encoder has positions for.
    """
    from safetensors.torch import load_file

    encoder = empty_encoder(folder)
    require_positions(encoder, settings.max_pieces)
    network = SequenceTagger(encoder, settings.design)
    try:
        network.load_state_dict(load_file(folder / WEIGHTS))
    except Exception as error:  # safetensors raises classes of its own
        raise UserError(
            f"{folder / WEIGHTS}: holds not the weights that {SETTINGS} and config.json describe"
        ) from error
    return network.eval()


def require_positions(encoder: Any, max_pieces: int) -> None:
    """Makes sure that windows fit into an encoder.

    Raises:
        UserError: If they do not.
    """
    most = most_pieces(encoder)
    if max_pieces > most:
        raise UserError(f"max_pieces: {max_pieces}: this encoder reads {most} at most")


def read_windows(folder: Path, settings: TaggerSettings) -> WordPieceWindows:
    """What cuts texts for the network of the same folder.

    Raises:
        UserError: If there is no usable tokenizer.
    """
    tokenizer = read_tokenizer(folder / "tokenizer.json")
    return WordPieceWindows(tokenizer, max_pieces=settings.max_pieces)
