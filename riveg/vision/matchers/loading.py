"""The matchers by name, and the model that each loads by default."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from riveg.errors import UserError
from riveg.vision.matchers.matcher import TextMatcher
from riveg.vision.matchers.trained import MatcherSettings
from riveg.vision.runtime.loading import load_processor
from riveg.vision.runtime.options import TorchOptions

MatcherName = Literal["siglip", "itm"]


class MatcherDefaults(NamedTuple):
    """A matcher's default model, its licence, and from which probability on a text fits."""

    model: str
    licence: str
    threshold: float


DEFAULTS: Mapping[str, MatcherDefaults] = {
    # The sigmoid's probabilities are small: it was trained to find one image among thousands.
    "siglip": MatcherDefaults("google/siglip2-base-patch16-224", "apache-2.0", 0.1),
    "itm": MatcherDefaults("Salesforce/blip-itm-base-coco", "bsd-3-clause", 0.5),
}
"""By matcher, for what a configuration does not say."""


def usual_settings(name: MatcherName) -> MatcherSettings:
    """How a published model is asked."""
    return MatcherSettings(query="{expression}", threshold=DEFAULTS[name].threshold)


def matcher_of(folder: Path) -> MatcherName:
    """The matcher that a model's folder is for, by the ``model_type`` of its ``config.json``.

    Raises:
        UserError: If there is none for it.
    """
    from transformers import AutoConfig

    from riveg.vision.matchers import itm, siglip

    kind = load_processor(AutoConfig, folder).model_type
    if kind in itm.MODEL_TYPES:
        return "itm"
    if kind in siglip.MODEL_TYPES:
        return "siglip"
    expected = ", ".join((*itm.MODEL_TYPES, *siglip.MODEL_TYPES))
    raise UserError(f"{folder}: expected a model of type {expected}, found {kind:.60}")


def load_matcher(name: MatcherName, folder: Path, options: TorchOptions) -> TextMatcher:
    """The matcher of a model's folder.

    Raises:
        UserError: If the folder holds no such model.
    """
    return matcher_loader(name)(folder, options)


def matcher_loader(name: MatcherName) -> Callable[[Path, TorchOptions], TextMatcher]:
    """What loads the matcher of a folder; it raises ``UserError`` as :func:`load_matcher` does."""
    if name == "itm":
        from riveg.vision.matchers.itm import load_itm_matcher

        return load_itm_matcher
    from riveg.vision.matchers.siglip import load_siglip_matcher

    return load_siglip_matcher
