"""``riveg train entailer-itm``: whether a picture shows an entity (``entail: itm``, ``siglip``)."""
