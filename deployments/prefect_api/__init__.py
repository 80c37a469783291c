"""A Prefect server's REST API, for commands that answer before Prefect's own client would be imported."""
