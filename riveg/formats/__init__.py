"""Codecs, both ways: tag sequences, CoNLL, VOC, masks."""
