"""Doing what a plan says: which fill starts, fetching, checking, storing, and stopping. Nothing here knows Prefect."""
