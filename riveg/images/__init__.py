"""Images: opened, drawn over, lettered."""
