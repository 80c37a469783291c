"""Requests to the sites: rates, pauses, downloads and commands.

Nothing here depends on runs, and only the module `buckets` depends on Prefect.
"""
