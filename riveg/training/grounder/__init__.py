"""``riveg train grounder``: boxes for phrases, ``ground: grounding-dino``."""
