"""Stages: one folder a step, one file a backend."""
