"""How ``riveg train entailer-itm`` trains."""

from __future__ import annotations

from typing import ClassVar

from riveg.training.loop_settings import LoopSettings
from riveg.training.query_settings import QueryTrainingConfig
from riveg.vision.matchers.matcher import Tower


class EntailerItmSettings(QueryTrainingConfig):
    """From which network an entailer is trained, on which texts, and how.

    ``model``: that of a BLIP or BLIP-2 with a matching head, or of a SigLIP or SigLIP 2; its
    ``config.json`` says which. ``query``: what is held against the picture, as in ``entail``.
    ``frozen``: towers that stay as they are, ``vision`` or ``text``.
    """

    name: ClassVar[str] = "entailer-itm"
    summary: ClassVar[str] = "BLIP, BLIP-2 or SigLIP learn what pictures show (entail: itm, siglip)"

    frozen: tuple[Tower, ...] = ()
    loop: LoopSettings = LoopSettings()
