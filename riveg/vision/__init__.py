"""Networks that riveg runs on images."""
