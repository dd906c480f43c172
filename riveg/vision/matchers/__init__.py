"""Networks that say how well a text fits an image."""
