"""Boxes by GroundingDINO (Liu et al. 2023, arXiv 2303.05499) in its authors' own package.

For the official checkpoints as they are. What is asked and how the boxes become regions is as with
``grounding-dino``; the boxes are those of the package's ``predict``, but an image goes through the
backbone once and phrases share forwards.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from riveg.checkpoints.folders import ModelFiles, model_file, model_folder
from riveg.config.backend import BuildContext
from riveg.files import file_digest
from riveg.protocols import Grounder
from riveg.stages.grounders.grounding_dino import GroundingDinoConfig
from riveg.vision.detectors.groundingdino_configuration import configuration_file

_OF_THE_TEXT_ENCODER = ("config.json", "tokenizer.json", "tokenizer_config.json", "vocab.txt")


class GroundingDinoPackageConfig(GroundingDinoConfig):
    """As of ``grounding-dino``, on the package.

    ``model``: a hub id or a folder with the ``checkpoint``, or itself that file. ``architecture``:
    ``swin-t`` or ``swin-b``, the sizes that the package names for the official checkpoints, or a
    configuration file of its kind, which is read and not run. ``text_encoder``: hub id or folder of
    the BERT whose vocabulary and sizes the checkpoint was trained with; its weights are in the
    checkpoint. The package has one implementation of attention.
    """

    name: ClassVar[str] = "groundingdino"
    summary: ClassVar[str] = "GroundingDINO in its own package (groundingdino-py, official .pth)"
    extra: ClassVar[str | None] = "groundingdino"
    packages: ClassVar[tuple[str, ...]] = ("torch", "torchvision", "transformers", "groundingdino")
    places: ClassVar[frozenset[str]] = frozenset({"model", "text_encoder", "architecture"})

    model: str = Field(default="ShilongLiu/GroundingDINO", min_length=1)
    checkpoint: str = Field(default="groundingdino_swint_ogc.pth", min_length=1)
    architecture: str = Field(default="swin-t", min_length=1)
    text_encoder: str = Field(default="google-bert/bert-base-uncased", min_length=1)
    text_encoder_revision: str | None = None
    attention: Literal["auto"] = "auto"

    def own_files(self) -> tuple[ModelFiles, ...]:
        """The checkpoint and what describes its text encoder."""
        return (
            ModelFiles(
                self.model, self.revision, self.licence, self.gated, files=(self.checkpoint,)
            ),
            ModelFiles(
                self.text_encoder,
                self.text_encoder_revision,
                "apache-2.0",
                setting="text_encoder",
                files=_OF_THE_TEXT_ENCODER,
            ),
        )

    def build(self, context: BuildContext) -> Grounder:
        """The live backend, with its weights loaded.

        Raises:
            UserError: If a file is not there, or is not what it should be.
        """
        checkpoint, text_encoder = self.own_files()
        path = model_file(checkpoint, context.base)
        folder = model_folder(text_encoder, context.base)
        from riveg.vision.detectors.groundingdino_package import GroundingDinoPackageNetwork

        configuration = configuration_file(self.architecture, context.base)
        network = GroundingDinoPackageNetwork(path, configuration, folder, self)
        return self.build_on(network, context)

    def trained(self, base: Path) -> None:  # noqa: ARG002
        """``riveg train grounder`` makes no checkpoints of the package."""
        return

    def contents(self, base: Path) -> Mapping[str, str]:
        """Digests of the checkpoint, of what describes it, and of the re-check's files."""
        checkpoint, text_encoder = self.own_files()
        path, folder = model_file(checkpoint, base), model_folder(text_encoder, base)
        described = [folder / name for name in text_encoder.files]
        found = {path.name: file_digest(path)}
        found |= {f"text_encoder/{one.name}": file_digest(one) for one in described if one.exists()}
        if (base / self.architecture).is_file():
            found["architecture"] = file_digest(base / self.architecture)
        return {**found, **self.recheck_contents(base)}
