"""A system from a YAML file, every problem told at once."""
