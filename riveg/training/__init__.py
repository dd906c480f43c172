"""Training of the stages that riveg ships a network for, one file or several a stage."""
