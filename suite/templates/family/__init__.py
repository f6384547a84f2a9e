"""A workload family for Gradathlon: digits, told apart by a network with one hidden layer."""
