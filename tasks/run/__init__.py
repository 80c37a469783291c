"""The execution of a plan: which fill starts, fetching, checking, storing, stopping. Nothing here knows Prefect."""
