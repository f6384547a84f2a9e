"""Setting a workload's target, budget and reference: the procedure, its statistics, its files."""
