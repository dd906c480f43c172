"""What a model learns a stage from: the stage's own requests, with the right answers."""
