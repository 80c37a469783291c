"""Answers about the lake, as values: the plan, why a file is in the lake or not, what a change would do.

Nothing here imports Prefect.
"""
