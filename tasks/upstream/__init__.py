"""Asking the sites: rates, pauses, requests, commands. Nothing here knows what a run is; only buckets knows Prefect."""
