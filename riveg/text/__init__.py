"""Tokens, spans, tags and alignment."""
