"""The matchers by name, and the model that each takes if not told otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from riveg.vision.matchers.matcher import TextMatcher
from riveg.vision.runtime.options import TorchOptions

MatcherName = Literal["siglip", "itm"]


class Usual(NamedTuple):
    """A matcher's usual model, its licence, and from which probability on a text fits."""

    model: str
    licence: str
    threshold: float


USUAL: Mapping[str, Usual] = {
    # The sigmoid's probabilities are small: it was taught to find one image among thousands.
    "siglip": Usual("google/siglip2-base-patch16-224", "apache-2.0", 0.1),
    "itm": Usual("Salesforce/blip-itm-base-coco", "bsd-3-clause", 0.5),
}
"""What is taken where a configuration does not say, by matcher."""


def load_matcher(name: MatcherName, folder: Path, options: TorchOptions) -> TextMatcher:
    """The matcher of a model's folder.

    Raises:
        UserError: If the folder holds no such model.
    """
    if name == "itm":
        from riveg.vision.matchers.itm import load_itm_matcher

        return load_itm_matcher(folder, options)
    from riveg.vision.matchers.siglip import load_siglip_matcher

    return load_siglip_matcher(folder, options)
