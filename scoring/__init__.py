"""Who won: records, time-to-result, performance profiles, scores, their uncertainty, and boards.

Part of Gradathlon.
"""
