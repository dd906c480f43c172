"""``riveg train entailer``: the embedded entailer, ``entail: mini``."""
