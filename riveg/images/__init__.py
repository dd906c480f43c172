"""Images: reading them, and drawing answers over them."""
