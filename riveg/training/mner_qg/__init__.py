"""``riveg train mner-qg``: a query for each type, spans and a region, ``extract: mner-qg``."""
