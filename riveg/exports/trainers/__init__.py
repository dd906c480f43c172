"""Training data for programs that train vision-language models, from an annotated dataset."""
