"""Where weights are on disk, and how they are fetched."""
