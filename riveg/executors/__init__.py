"""Executors map a task over the parts of a run and know nothing of stages."""
