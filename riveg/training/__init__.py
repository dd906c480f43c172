"""One file a trainable stage."""
