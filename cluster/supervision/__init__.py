"""A trial in its own process: how it starts, who watches it from outside, and how it ends."""
