"""A system at work: a run over a folder, and reading it back."""
