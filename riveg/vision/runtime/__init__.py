"""How a network on torch is loaded, placed, and fed with images."""
