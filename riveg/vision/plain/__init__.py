"""Vision without torch: faces, bodies and text in images."""
