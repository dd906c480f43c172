"""Every stage of a system, in the order in which they run."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stage:
    """A step: its config key (a verb), the folder of its backends, and what it is asked about."""

    name: str
    folder: str
    asks_about: str
    summary: str


STAGES: tuple[Stage, ...] = (
    Stage("caption", "captioners", "sample", "picture -> one text"),
    Stage("augment", "augmenters", "sample", "sample -> knowledge, by an LLM"),
    Stage("tag", "taggers", "sample", "text -> entities with spans, types and scores"),
    Stage("extract", "extractors", "sample", "sample -> entities already grounded (joint systems)"),
    Stage("rerank", "rerankers", "entity", "entity -> type, where the tagger was unsure"),
    Stage("rewrite", "rewriters", "entity", "entity -> referring expression"),
    Stage("observe", "observers", "sample", "picture -> faces, people and lettering in it"),
    Stage("entail", "entailers", "entity", "entity -> does the picture show it?"),
    Stage("ground", "grounders", "entity", "entity -> regions, best first"),
    Stage("segment", "segmenters", "entity", "region -> mask"),
)
"""Every stage in the order in which a system runs them."""
