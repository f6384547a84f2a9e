"""Finding hyperparameters: one point for many workloads, and what a parameter does over its range.

Part of Gradathlon.
"""
