"""A Prefect server's REST API, and Prefect's settings, which are read without importing Prefect.

Commands ask the API before Prefect's own client would be imported. `adce up` and `adce setup` ask it through that one.
"""
