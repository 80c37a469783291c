"""Set-up of a Prefect server: the objects that ADCE needs on it, and a check who can reach it. Starts no process."""
