"""Every backend is what its stage asks for: proved by the type checker, which reads this file.

A configuration fits its row only if what it builds has the method of the stage's protocol, with the
protocol's arguments and answers; that each backend has its row is a test.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias, TypeVar

import pytest

from riveg.config.backend import BackendConfig
from riveg.protocols import (
    Augmenter,
    Captioner,
    Entailer,
    Extractor,
    Grounder,
    Observer,
    Reranker,
    Reviewer,
    Rewriter,
    Segmenter,
    Tagger,
)
from riveg.registry import BACKENDS, backend_config
from riveg.stages.augmenters.chat import ChatAugmenterConfig
from riveg.stages.augmenters.recorded import RecordedAugmenterConfig
from riveg.stages.captioners.blip import BlipConfig
from riveg.stages.captioners.chat import ChatCaptionerConfig
from riveg.stages.captioners.recorded import RecordedCaptionerConfig
from riveg.stages.entailers.always import AlwaysEntailerConfig
from riveg.stages.entailers.chat import ChatEntailerConfig
from riveg.stages.entailers.gold import GoldEntailerConfig
from riveg.stages.entailers.itm import ItmEntailerConfig
from riveg.stages.entailers.mini import MiniEntailerConfig
from riveg.stages.entailers.recorded import RecordedEntailerConfig
from riveg.stages.entailers.siglip import SiglipEntailerConfig
from riveg.stages.extractors.chat import ChatExtractorConfig
from riveg.stages.extractors.mner_qg import MnerQgExtractorConfig
from riveg.stages.extractors.recorded import RecordedExtractorConfig
from riveg.stages.extractors.teacher import TeacherConfig
from riveg.stages.grounders.chat import ChatGrounderConfig
from riveg.stages.grounders.evidence import EvidenceGrounderConfig
from riveg.stages.grounders.florence2 import Florence2Config
from riveg.stages.grounders.gold import GoldGrounderConfig
from riveg.stages.grounders.grounding_dino import GroundingDinoConfig
from riveg.stages.grounders.groundingdino import GroundingDinoPackageConfig
from riveg.stages.grounders.itm_gradcam import ItmGradcamConfig
from riveg.stages.grounders.owlv2 import Owlv2Config
from riveg.stages.grounders.recorded import RecordedGrounderConfig
from riveg.stages.observers.evidence import EvidenceObserverConfig
from riveg.stages.rerankers.chat import ChatRerankerConfig
from riveg.stages.reviewers.chat import ChatReviewerConfig
from riveg.stages.rewriters.chat import ChatRewriterConfig
from riveg.stages.rewriters.recorded import RecordedRewriterConfig
from riveg.stages.rewriters.template import TemplateRewriterConfig
from riveg.stages.segmenters.evidence import EvidenceSegmenterConfig
from riveg.stages.segmenters.grabcut import GrabCutConfig
from riveg.stages.segmenters.sam import SamConfig
from riveg.stages.segmenters.sam2 import Sam2Config
from riveg.stages.segmenters.sam3 import Sam3Config
from riveg.stages.segmenters.segment_anything import SegmentAnythingConfig
from riveg.stages.taggers.chat import ChatTaggerConfig
from riveg.stages.taggers.crf import CrfTaggerConfig
from riveg.stages.taggers.gliner import GlinerTaggerConfig
from riveg.stages.taggers.gold import GoldTaggerConfig
from riveg.stages.taggers.mini import MiniTaggerConfig
from riveg.stages.taggers.phrases import PhraseTaggerConfig
from riveg.stages.taggers.recorded import RecordedTaggerConfig

Backend = TypeVar("Backend")
Backends: TypeAlias = Mapping[str, type[BackendConfig[Backend]]]

CAPTION: Backends[Captioner] = {
    "blip": BlipConfig,
    "chat": ChatCaptionerConfig,
    "recorded": RecordedCaptionerConfig,
}
AUGMENT: Backends[Augmenter] = {
    "chat": ChatAugmenterConfig,
    "recorded": RecordedAugmenterConfig,
}
TAG: Backends[Tagger] = {
    "chat": ChatTaggerConfig,
    "crf": CrfTaggerConfig,
    "gliner": GlinerTaggerConfig,
    "mini": MiniTaggerConfig,
    "gold": GoldTaggerConfig,
    "phrases": PhraseTaggerConfig,
    "recorded": RecordedTaggerConfig,
}
EXTRACT: Backends[Extractor] = {
    "chat": ChatExtractorConfig,
    "recorded": RecordedExtractorConfig,
    "teacher": TeacherConfig,
    "mner-qg": MnerQgExtractorConfig,
}
RERANK: Backends[Reranker] = {
    "chat": ChatRerankerConfig,
}
REWRITE: Backends[Rewriter] = {
    "chat": ChatRewriterConfig,
    "template": TemplateRewriterConfig,
    "recorded": RecordedRewriterConfig,
}
OBSERVE: Backends[Observer] = {
    "evidence": EvidenceObserverConfig,
}
ENTAIL: Backends[Entailer] = {
    "itm": ItmEntailerConfig,
    "siglip": SiglipEntailerConfig,
    "chat": ChatEntailerConfig,
    "mini": MiniEntailerConfig,
    "always": AlwaysEntailerConfig,
    "gold": GoldEntailerConfig,
    "recorded": RecordedEntailerConfig,
}
GROUND: Backends[Grounder] = {
    "grounding-dino": GroundingDinoConfig,
    "groundingdino": GroundingDinoPackageConfig,
    "owlv2": Owlv2Config,
    "itm-gradcam": ItmGradcamConfig,
    "florence2": Florence2Config,
    "chat": ChatGrounderConfig,
    "evidence": EvidenceGrounderConfig,
    "gold": GoldGrounderConfig,
    "recorded": RecordedGrounderConfig,
}
REVIEW: Backends[Reviewer] = {
    "chat": ChatReviewerConfig,
}
SEGMENT: Backends[Segmenter] = {
    "evidence": EvidenceSegmenterConfig,
    "grabcut": GrabCutConfig,
    "sam": SamConfig,
    "sam2": Sam2Config,
    "sam3": Sam3Config,
    "segment-anything": SegmentAnythingConfig,
}

TABLES: Mapping[str, Mapping[str, type[BackendConfig[object]]]] = {
    "caption": CAPTION,
    "augment": AUGMENT,
    "tag": TAG,
    "extract": EXTRACT,
    "rerank": RERANK,
    "rewrite": REWRITE,
    "observe": OBSERVE,
    "entail": ENTAIL,
    "ground": GROUND,
    "review": REVIEW,
    "segment": SEGMENT,
}


def test_every_backend_is_checked() -> None:
    assert {stage: {*names} for stage, names in TABLES.items()} == {
        stage: {*names} for stage, names in BACKENDS.items()
    }


@pytest.mark.parametrize(
    ("stage", "name"), [(stage, name) for stage, names in TABLES.items() for name in names]
)
def test_a_row_holds_the_backend_of_its_name(stage: str, name: str) -> None:
    assert TABLES[stage][name] is backend_config(stage, name)
