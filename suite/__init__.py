"""The front door: the command line, suites in YAML, tuning, and the plan of a run.

Part of Gradathlon.
"""
