"""What a run found, in the formats that other programs read."""
