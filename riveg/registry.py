"""Backends by name: a table of strings, imported on use. Third parties add theirs by entry point.

An entry point of the group ``riveg.backends`` is called ``STAGE.NAME`` and points at a
:class:`~riveg.config.backend.BackendConfig`.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points

from riveg.config.backend import BackendConfig
from riveg.errors import UserError, suggest
from riveg.stages.table import STAGES

ENTRY_POINT_GROUP = "riveg.backends"

BACKENDS: dict[str, dict[str, str]] = {
    "caption": {
        "blip": "riveg.stages.captioners.blip:BlipConfig",
        "chat": "riveg.stages.captioners.chat:ChatCaptionerConfig",
        "recorded": "riveg.stages.captioners.recorded:RecordedCaptionerConfig",
    },
    "augment": {
        "chat": "riveg.stages.augmenters.chat:ChatAugmenterConfig",
        "recorded": "riveg.stages.augmenters.recorded:RecordedAugmenterConfig",
    },
    "tag": {
        "chat": "riveg.stages.taggers.chat:ChatTaggerConfig",
        "crf": "riveg.stages.taggers.crf:CrfTaggerConfig",
        "gliner": "riveg.stages.taggers.gliner:GlinerTaggerConfig",
        "mini": "riveg.stages.taggers.mini:MiniTaggerConfig",
        "gold": "riveg.stages.taggers.gold:GoldTaggerConfig",
        "phrases": "riveg.stages.taggers.phrases:PhraseTaggerConfig",
        "recorded": "riveg.stages.taggers.recorded:RecordedTaggerConfig",
    },
    "extract": {
        "chat": "riveg.stages.extractors.chat:ChatExtractorConfig",
        "recorded": "riveg.stages.extractors.recorded:RecordedExtractorConfig",
        "teacher": "riveg.stages.extractors.teacher:TeacherConfig",
        "mner-qg": "riveg.stages.extractors.mner_qg:MnerQgExtractorConfig",
    },
    "rerank": {
        "chat": "riveg.stages.rerankers.chat:ChatRerankerConfig",
    },
    "rewrite": {
        "chat": "riveg.stages.rewriters.chat:ChatRewriterConfig",
        "template": "riveg.stages.rewriters.template:TemplateRewriterConfig",
        "recorded": "riveg.stages.rewriters.recorded:RecordedRewriterConfig",
    },
    "observe": {
        "evidence": "riveg.stages.observers.evidence:EvidenceObserverConfig",
    },
    "entail": {
        "itm": "riveg.stages.entailers.itm:ItmEntailerConfig",
        "siglip": "riveg.stages.entailers.siglip:SiglipEntailerConfig",
        "chat": "riveg.stages.entailers.chat:ChatEntailerConfig",
        "mini": "riveg.stages.entailers.mini:MiniEntailerConfig",
        "always": "riveg.stages.entailers.always:AlwaysEntailerConfig",
        "gold": "riveg.stages.entailers.gold:GoldEntailerConfig",
        "recorded": "riveg.stages.entailers.recorded:RecordedEntailerConfig",
    },
    "ground": {
        "grounding-dino": "riveg.stages.grounders.grounding_dino:GroundingDinoConfig",
        "groundingdino": "riveg.stages.grounders.groundingdino:GroundingDinoPackageConfig",
        "owlv2": "riveg.stages.grounders.owlv2:Owlv2Config",
        "itm-gradcam": "riveg.stages.grounders.itm_gradcam:ItmGradcamConfig",
        "florence2": "riveg.stages.grounders.florence2:Florence2Config",
        "chat": "riveg.stages.grounders.chat:ChatGrounderConfig",
        "evidence": "riveg.stages.grounders.evidence:EvidenceGrounderConfig",
        "gold": "riveg.stages.grounders.gold:GoldGrounderConfig",
        "recorded": "riveg.stages.grounders.recorded:RecordedGrounderConfig",
    },
    "review": {
        "chat": "riveg.stages.reviewers.chat:ChatReviewerConfig",
    },
    "segment": {
        "evidence": "riveg.stages.segmenters.evidence:EvidenceSegmenterConfig",
        "grabcut": "riveg.stages.segmenters.grabcut:GrabCutConfig",
        "sam": "riveg.stages.segmenters.sam:SamConfig",
        "sam2": "riveg.stages.segmenters.sam2:Sam2Config",
        "sam3": "riveg.stages.segmenters.sam3:Sam3Config",
        "segment-anything": "riveg.stages.segmenters.segment_anything:SegmentAnythingConfig",
    },
}
"""``stage -> name -> "module:Config"``; ``none`` is no backend but the stage left out."""


@cache
def backend_table() -> dict[str, dict[str, str]]:
    """riveg's own backends and those of installed packages."""
    table = {stage.name: dict(BACKENDS.get(stage.name, {})) for stage in STAGES}
    for point in entry_points(group=ENTRY_POINT_GROUP):
        stage, _, name = point.name.partition(".")
        if stage in table and name:
            table[stage].setdefault(name, point.value)
    return table


def backend_config(stage: str, name: str) -> type[BackendConfig[object]]:
    """The configuration class of a backend.

    Raises:
        UserError: If the stage or the name is unknown, or a third party's is broken; one line.
    """
    table = backend_table()
    if stage not in table:
        raise UserError(f"{stage}: no such stage; {suggest(stage, table)}")
    if name not in table[stage]:
        raise UserError(f"{stage}: no backend {name!r}; {suggest(name, [*table[stage], 'none'])}")
    value = table[stage][name]
    try:
        found = EntryPoint(name=name, value=value, group=ENTRY_POINT_GROUP).load()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a module of a third party may raise anything, or exit
        raise _broken(stage, name, _reason_of(error), value) from error
    if not (isinstance(found, type) and issubclass(found, BackendConfig)):
        raise _broken(stage, name, "it is no BackendConfig", value)
    for attribute in ("stage", "name", "summary"):
        if not isinstance(getattr(found, attribute, None), str):
            raise _broken(stage, name, f"it has no {attribute}", value)
    return found


def _broken(stage: str, name: str, why: str, value: str) -> UserError:
    return UserError(f"{stage}: backend {name!r} is broken: {why} ({value})")


def _reason_of(error: BaseException) -> str:
    try:
        text = " ".join(str(error).split())
    except Exception:
        text = ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
