"""``riveg train crf-tagger``: any encoder with a linear head or a CRF, ``tag: crf``."""
