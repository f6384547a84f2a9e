"""Weights & Biases: a run's trials as they race, and the board of runs.

Nothing here is part of a race: trials are read from their records, by a process of its own, so
that a slow or lost server touches no clock, no trial and no exit code.
"""
