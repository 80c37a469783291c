"""The flows. Prefect imports them in processes of its own: importing them hides secrets in what a process prints."""

from config.secrets import hide_in_output

hide_in_output()
