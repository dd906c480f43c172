"""Where weights lie and how they get there."""
