"""The Prefect flows. Importing them hides secrets in the output of the process, also where Prefect has started it."""

from config.secrets import hide_in_output

hide_in_output()
