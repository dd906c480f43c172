"""GEM's grounder: where BLIP looks when it says "shown" is a point, and SAM cuts out what is there.

No box was needed to train either network. The heat map of an entity
(:mod:`riveg.vision.matchers.itm_heat`) is hottest in one patch; its middle prompts SAM or SAM 2,
and the region is the tight box around the best of the masks that are offered. GEM prompts SEEM,
which is in no library. A region has no score: the map says where, not how surely.

Maps are rounded to bytes before the hottest patch is looked for, so that an answer does not hang on
what else was in the batch; where two patches are that near to each other, the first one is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import BaseModel, Field, field_validator, model_validator

from riveg.checkpoints.folders import EXTRA, model_contents
from riveg.config.backend import BackendConfig, BuildContext
from riveg.formats.json_files import checked, read_json
from riveg.geometry.heat_maps import Point, heat_from_array, hottest_point
from riveg.geometry.masks import mask_box, mask_from_array
from riveg.protocols import Grounder
from riveg.types import HeatMap, ImageSize
from riveg.vision.detectors.phrase_search import PhraseBoxes, PhraseSearch, Unfound
from riveg.vision.matchers.itm_heat import ItmHeat, require_layer
from riveg.vision.matchers.loading import DEFAULTS as MATCHERS
from riveg.vision.matchers.loading import usual_settings
from riveg.vision.matchers.trained import MatcherSettings
from riveg.vision.queries import QueryTemplate, TextReader
from riveg.vision.runtime.batches import in_batches
from riveg.vision.runtime.image_worker import PreparedImage
from riveg.vision.runtime.loading import shared_network, worker_count
from riveg.vision.runtime.options import TorchOptions
from riveg.vision.runtime.tensors import image_tensors
from riveg.vision.segmenters.loading import DEFAULTS as SEGMENTERS
from riveg.vision.segmenters.loading import PointNetworkName, point_network_loader
from riveg.vision.trained import AskedAsTrained

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from riveg.geometry.arrays import Bitmap, Pixels
    from riveg.vision.runtime.tensors import ImageTensors
    from riveg.vision.segmenters.loading import PointNetwork

_POINTS_AT_ONCE = 32
"""Points of an image that are decoded together."""


class PointSegmenter(TorchOptions):
    """``network``: ``sam`` or ``sam2``, which has its usual ``model``.

    ``batch_size``: images encoded together. ``workers`` stays ``auto``: the backend's own prepare
    the images for both networks.
    """

    network: PointNetworkName = "sam2"
    model: str = Field(default=SEGMENTERS["sam2"].model, min_length=1)
    licence: str | None = SEGMENTERS["sam2"].licence

    @model_validator(mode="before")
    @classmethod
    def _fill_defaults(cls, given: Any) -> Any:
        """The defaults depend on the network."""
        if not isinstance(given, Mapping) or str(given.get("network")) not in SEGMENTERS:
            return given
        return {**SEGMENTERS[str(given["network"])]._asdict(), **given}

    @field_validator("workers")
    @classmethod
    def _has_no_workers(cls, workers: Any) -> Any:
        if workers != "auto":
            raise ValueError("it has no workers of its own: set those of the backend")
        return workers


class ItmGradcamConfig(AskedAsTrained[MatcherSettings], BackendConfig[Grounder]):
    """``query``: the text that is held against the image, a template, as ``entail: itm`` has it.

    Where the system does not state it, it is the one that the model was trained with
    (``riveg train entailer-itm``), or ``{expression}`` of a published one.

    ``layer``: the text layer whose attention is looked at, from 0. ``heat``: whether the heat map
    of each entity is kept in the record. ``segmenter``: what cuts out the thing at the point.
    """

    stage: ClassVar[str] = "ground"
    name: ClassVar[str] = "itm-gradcam"
    summary: ClassVar[str] = "where BLIP looks, cut out by SAM (GEM's grounder; learns no boxes)"
    extra: ClassVar[str | None] = EXTRA
    packages: ClassVar[tuple[str, ...]] = ("torch", "transformers", "safetensors")
    needs_image: ClassVar[bool] = True

    model: str = Field(default=MATCHERS["itm"].model, min_length=1)
    licence: str | None = MATCHERS["itm"].licence
    query: QueryTemplate | None = None
    layer: int = Field(default=7, ge=0)
    heat: bool = False
    segmenter: PointSegmenter = PointSegmenter()

    def build(self, context: BuildContext) -> Grounder:
        """Loads both networks, or takes those that other stages have loaded.

        Raises:
            UserError: If a model is not there or is another, or has no such layer.
        """
        from riveg.vision.matchers.itm import load_itm_matcher

        folder, asked = self._folder_with_layer(context.base), self.asked(context.base)
        cutter = self.segmenter.folder(context.base)
        share = partial(shared_network, context.networks)
        matcher = share(load_itm_matcher, folder, self)
        finder = GradcamFinder(
            ItmHeat(matcher, self.layer, batch_size=self.batch_size),
            share(point_network_loader(self.segmenter.network), cutter, self.segmenter),
            TextReader(asked.query, matcher.most_tokens, matcher.count_tokens),
            partial(image_tensors, matcher.processor),
            keeps_heat=self.heat,
            batch_size=self.batch_size,
            images_at_once=self.segmenter.batch_size,
        )
        return PhraseSearch(context.images, finder, source=self.name, workers=worker_count(self))

    def usual(self) -> MatcherSettings:
        """How a published model is asked."""
        return usual_settings("itm")

    def contents(self, base: Path) -> Mapping[str, str]:
        """Digests of the files of both models.

        Raises:
            UserError: If a model is not there, or has no such layer: found before the run.
        """
        cutter = model_contents(self.segmenter.folder(base))
        return {
            **model_contents(self._folder_with_layer(base)),
            **{f"segmenter/{name}": digest for name, digest in cutter.items()},
        }

    def _folder_with_layer(self, base: Path) -> Path:
        folder = self.folder(base)
        try:
            values = read_json(folder / "config.json")
        except (OSError, ValueError):
            return folder  # whoever loads it says what is wrong
        settings = checked(_Settings, values, f"{folder / 'config.json'}: is not BLIP's")
        require_layer(self.layer, settings.text_config.num_hidden_layers)
        return folder


class _TextSettings(BaseModel):
    num_hidden_layers: int = 12
    """By default as in the library."""


class _Settings(BaseModel):
    """The keys of BLIP's ``config.json`` that are read before it is loaded."""

    model_type: Literal["blip"]
    text_config: _TextSettings = _TextSettings()


class Inputs(NamedTuple):
    """One image as both networks take it."""

    matched: ImageTensors
    cut: Any


class GradcamFinder:
    """The box of each text in its image: heat map, point, mask, box.

    Args:
        heat: Makes heat maps.
        segmenter: Cuts out what is at a point.
        reader: The texts.
        prepare: Makes the matcher's input of an upright image.
        keeps_heat: Whether boxes have their heat map with them.
        batch_size: Images that are held at a time, in some batches of the matcher.
        images_at_once: Images that are encoded together by the segmenter.
    """

    def __init__(
        self,
        heat: ItmHeat,
        segmenter: PointNetwork,
        reader: TextReader,
        prepare: Callable[[Pixels], ImageTensors],
        *,
        keeps_heat: bool = False,
        batch_size: int = 8,
        images_at_once: int = 8,
    ) -> None:
        self.reader = reader
        self.batch_size = batch_size
        self.prepare = partial(_prepare, prepare, segmenter.prepare)
        self._heat = heat
        self._segmenter = segmenter
        self._keeps_heat = keeps_heat
        self._images_at_once = images_at_once

    def encode_texts(self, texts: Sequence[str]) -> Mapping[str, str]:
        """The texts themselves: the matcher reads each together with its image."""
        return {text: text for text in texts if text}

    def find_boxes(
        self, images: Mapping[str, PreparedImage[Inputs]], texts: Mapping[str, Mapping[str, str]]
    ) -> Iterator[PhraseBoxes | Unfound]:
        """One box of each text, or why there is none."""
        hot: dict[str, dict[str, HeatMap]] = {}
        for path, text, values in self._maps(images, texts):
            if not np.isfinite(values).all():
                yield Unfound(path, text, "no-number", "the network gave a heat map of no numbers")
            elif (heat := heat_from_array(values)) is None:
                yield Unfound(path, text, "no-heat", _NO_HEAT)
            else:
                hot.setdefault(path, {})[text] = heat
        paths = list(hot)
        encoded = in_batches([images[path] for path in paths], self._images_at_once, self._encode)
        for path, image in zip(paths, encoded, strict=True):
            yield from self._boxes(path, images[path].size, image, hot[path])

    def _maps(
        self, images: Mapping[str, PreparedImage[Inputs]], texts: Mapping[str, Mapping[str, str]]
    ) -> Iterator[tuple[str, str, NDArray[np.float32]]]:
        seen = [image.value.matched for image in images.values()]
        asked = [list(texts[path]) for path in images]
        for path, of_image, maps in zip(images, asked, self._heat.maps(seen, asked), strict=True):
            for text, values in zip(of_image, maps, strict=True):
                yield path, text, values

    def _encode(self, images: Sequence[PreparedImage[Inputs]]) -> Sequence[Any]:
        return self._segmenter.encode_images(
            [PreparedImage(image.size, image.value.cut) for image in images]
        )

    def _boxes(
        self, path: str, size: ImageSize, image: Any, heats: Mapping[str, HeatMap]
    ) -> Iterator[PhraseBoxes | Unfound]:
        """The boxes of one image's texts."""
        points = [hottest_point(heat, size) for heat in heats.values()]

        def cut(batch: Sequence[Point]) -> Sequence[NDArray[np.float64] | None]:
            return [_box_shares(mask) for mask in self._segmenter.decode_best_masks(image, batch)]

        found = in_batches(points, _POINTS_AT_ONCE, cut)
        for (text, heat), point, shares in zip(heats.items(), points, found, strict=True):
            if shares is None:
                where = f"{point.x:.1f}, {point.y:.1f}"
                message = (
                    f"the segmenter cut out no pixel at {where}, where the heat map is hottest"
                )
                yield Unfound(path, text, "no-mask", message)
            else:
                yield PhraseBoxes(path, text, shares, None, heat if self._keeps_heat else None)


_NO_HEAT = "no patch of the picture makes the network surer that it shows the entity"


def _prepare(
    match: Callable[[Pixels], ImageTensors], cut: Callable[[Pixels], Any], pixels: Pixels
) -> Inputs:
    return Inputs(match(pixels), cut(pixels))


def _box_shares(bitmap: Bitmap) -> NDArray[np.float64] | None:
    """The tight box as shares of the image's sides, *shape* ``(1, 4)``; ``None`` of no pixel."""
    if not bitmap.any():
        return None
    box = mask_box(mask_from_array(bitmap))
    height, width = bitmap.shape
    edges = (box.x_min / width, box.y_min / height, box.x_max / width, box.y_max / height)
    return np.array([edges], np.float64)
