"""Drawings that show whether a vision-language model sees, and in which frame its boxes are."""
