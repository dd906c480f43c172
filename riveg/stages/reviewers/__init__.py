"""One file a backend of this stage."""
