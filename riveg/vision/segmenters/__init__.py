"""Networks that make masks."""
