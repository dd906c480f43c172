"""Trainees by name: a table of strings, imported on use."""

from __future__ import annotations

from importlib import import_module

from riveg.errors import UserError, suggest
from riveg.training.config import TrainingConfig

TRAINEES: dict[str, str] = {
    "box-prior": "riveg.training.box_prior:BoxPriorTrainingConfig",
    "crf-tagger": "riveg.training.crf_tagger.config:CrfTaggerTrainingConfig",
    "entailer": "riveg.training.entailer.config:EntailerTrainingConfig",
    "entailer-itm": "riveg.training.entailer_itm.config:EntailerItmTrainingConfig",
    "grounder": "riveg.training.grounder.config:GrounderTrainingConfig",
    "mner-qg": "riveg.training.mner_qg.config:MnerQgTrainingConfig",
    "tagger": "riveg.training.tagger.config:TaggerTrainingConfig",
    "vlm": "riveg.training.vlm.config:VlmTrainingConfig",
}
"""``name -> "module:Configuration"``."""


def trainee_config(name: str) -> type[TrainingConfig]:
    """The configuration class of a trainee.

    Raises:
        UserError: If there is none of that name.
    """
    if name not in TRAINEES:
        raise UserError(f"nothing to train is called {name!r}; {suggest(name, TRAINEES)}")
    module, _, attribute = TRAINEES[name].partition(":")
    found: type[TrainingConfig] = getattr(import_module(module), attribute)
    return found
