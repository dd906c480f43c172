"""What maps a job over the parts of a run."""
