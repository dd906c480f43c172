"""Networks that riveg trains, and the arithmetic they share with the code that runs them."""
