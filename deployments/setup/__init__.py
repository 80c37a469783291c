"""What has to be on a Prefect server before anything runs, and who can reach that server. It starts no process."""
