"""Networks that riveg trains."""
