"""A workload family for Gradathlon: digits, classified by a network with one hidden layer."""
