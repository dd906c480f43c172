"""Texts and images as unit vectors, for finding similar samples."""

from __future__ import annotations

import re
import unicodedata
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from riveg.checkpoints.folders import require_own_files
from riveg.checkpoints.tokenizer_files import require_bounded_files, require_bounded_tokenizer
from riveg.config.extras import missing_of_extra
from riveg.errors import MissingExtra, UserError, reason
from riveg.files import file_digest, text_digest
from riveg.vision.runtime.loading import require_numbers, require_weights

if TYPE_CHECKING:
    from riveg.geometry.arrays import Pixels

Vector = NDArray[np.float32]
"""*Shape:* ``(size,)``"""

_WEIGHTS = "*.safetensors"
_SETTINGS = ("*.json", "*.txt", "*.model")


class TextEmbedder(Protocol):
    """Makes a vector of a text; equal texts have equal vectors."""

    @property
    def digest(self) -> str:
        """Changes when the vectors do."""

    def embed_text(self, text: str) -> Vector:
        """A vector of length 1, or of zeros where the text is empty."""


class ImageEmbedder(Protocol):
    """Makes a vector of an image."""

    @property
    def digest(self) -> str:
        """Changes when the vectors do."""

    def embed_image(self, pixels: Pixels) -> Vector:
        """A vector of length 1."""


class CharacterNgrams:
    """Counts of character n-grams within words, hashed; needs no model and no language.

    Args:
        size: Length of the vectors.
    """

    def __init__(self, size: int = 4096) -> None:
        self._size = size
        self.digest = f"character-ngrams-3-5-{size}"

    def embed_text(self, text: str) -> Vector:
        """Damped counts of all n-grams of 3 to 5 characters; half of the hashes count down."""
        counts = np.zeros(self._size, dtype=np.float64)
        for word in re.findall(r"\w+", unicodedata.normalize("NFKC", text).casefold()):
            padded = f" {word} ".encode("utf-32-le", "surrogatepass")
            for length in (12, 16, 20):  # four bytes a character
                for start in range(0, len(padded) - length + 1, 4):
                    code = zlib.crc32(padded[start : start + length])
                    counts[(code >> 1) % self._size] += 1 - 2 * (code & 1)
        return _unit(np.sign(counts) * np.log1p(np.abs(counts)))


class TransformerTexts:
    """The mean of an encoder's last hidden state over a text's pieces.

    Args:
        folder: A local model for transformers, with a tokenizer and safetensors weights.

    Raises:
        UserError: If the packages or the files are not there.
    """

    def __init__(self, folder: Path) -> None:
        import transformers

        self.digest = model_digest(folder)
        self._tokenizer = _loaded(transformers.AutoTokenizer, folder)
        self._model = _network(folder)

    def embed_text(self, text: str) -> Vector:
        """The vector of as much of the text as the encoder reads."""
        import torch

        most = getattr(self._model.config, "max_position_embeddings", 512)
        inputs = self._tokenizer(
            text, return_tensors="pt", truncation=True, max_length=min(most, 512)
        )
        with torch.inference_mode():
            hidden = self._model(**inputs).last_hidden_state[0]
        return _unit(hidden.mean(dim=0).double().numpy())


class ClipImages:
    """The image half of a CLIP-like model (CLIP, SigLIP).

    Args:
        folder: A local model for transformers, with an image processor and safetensors weights.

    Raises:
        UserError: If the packages or the files are not there, or it is another kind of model.
    """

    def __init__(self, folder: Path) -> None:
        import transformers

        self.digest = model_digest(folder)
        self._processor = _loaded(transformers.AutoImageProcessor, folder)
        self._model = _network(folder)
        if not hasattr(self._model, "get_image_features"):
            raise UserError(f"{folder}: a {type(self._model).__name__} makes no picture vectors")

    def embed_image(self, pixels: Pixels) -> Vector:
        """The model's image features."""
        import torch

        # The processor cannot guess where the colours are if an image is 1 or 3 pixels wide.
        inputs = self._processor(
            images=np.ascontiguousarray(pixels),
            input_data_format="channels_last",
            return_tensors="pt",
        )
        with torch.inference_mode():
            features = self._model.get_image_features(**inputs)
        # Newer versions of transformers wrap the tensor.
        vectors = getattr(features, "pooler_output", features)
        return _unit(vectors[0].double().numpy())


def model_digest(folder: Path) -> str:
    """Digest of a model folder's weights and settings.

    Raises:
        UserError: If it is no folder with safetensors weights; pickled weights are never read.
    """
    weights = sorted(folder.glob(_WEIGHTS))
    if not weights:
        raise UserError(f"{folder}: no model there: it has no {_WEIGHTS}; give a local folder")
    settings = [file for kind in _SETTINGS for file in sorted(folder.glob(kind))]
    files = [*weights, *settings]
    return text_digest("\n".join(f"{file.name} {file_digest(file)}" for file in files))


def require_models_extra(what: str) -> None:
    """Checks that transformers can be used.

    Raises:
        MissingExtra: If it cannot.
    """
    missing = missing_of_extra("models")
    if missing:
        raise MissingExtra(what, missing[0], "models")


def _network(folder: Path) -> Any:
    import transformers

    network, loaded = _loaded(
        transformers.AutoModel, folder, use_safetensors=True, output_loading_info=True
    )
    # A text's vector needs no pooler.
    require_weights(loaded["missing_keys"], folder, unused=("pooler.",))
    require_numbers(network, folder)
    return network.eval()


def _loaded(kind: Any, folder: Path, **options: Any) -> Any:
    require_own_files(folder)
    require_bounded_files(folder)
    try:
        loaded = kind.from_pretrained(
            str(folder), local_files_only=True, trust_remote_code=False, **options
        )
    except Exception as error:  # safetensors, tokenizers and whatever odd numbers cause
        raise UserError(f"{folder}: {kind.__name__} cannot read it: {reason(error)}") from error
    require_bounded_tokenizer(loaded, folder)
    return loaded


def _unit(vector: NDArray[np.float64]) -> Vector:
    length = float(np.linalg.norm(vector))
    return (vector / length if length > 0 else vector).astype(np.float32)
