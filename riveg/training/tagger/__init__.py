"""``riveg train tagger``: the embedded tagger, ``tag: mini``."""
