"""Tokens, spans and their alignment."""
