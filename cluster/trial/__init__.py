"""One trial: the training loop, its clocks, what comes before them, and why it ends."""
