"""Requests to the sites: rates, pauses, downloads and commands. Nothing here knows runs, and only `buckets` Prefect."""
