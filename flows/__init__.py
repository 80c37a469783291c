"""The Prefect flows. Importing them masks secrets in the output of the process, also if Prefect has started it."""

from config.secrets import hide_in_output

hide_in_output()
