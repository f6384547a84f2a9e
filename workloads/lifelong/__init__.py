"""Tasks one after another, each until it is mastered: lifelong learning with a small memory."""
