"""Networks that find boxes for texts."""
