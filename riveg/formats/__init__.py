"""One codec a file format: records, CoNLL, captions, brushes, SMNER batches, E2E-GMNER."""
