"""Boxes, masks, polygons, and the frames that coordinates are given in."""
