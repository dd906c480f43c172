"""Scores that can be trusted: one canonical scorer, and the released ones to the last count."""
