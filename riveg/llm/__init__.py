"""Talking with language models: requests, transports, answers."""
