"""The execution of a plan: starting fills, fetching, checking, storing, stopping. Nothing here depends on Prefect."""
