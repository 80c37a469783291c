"""The command `adce up`: runs all processes on one machine and restarts those that die."""
