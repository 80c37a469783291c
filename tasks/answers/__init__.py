"""Answers about the lake, as values: the plan, why a file is there or not, what a change would do. No Prefect here."""
