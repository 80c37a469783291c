"""The Prefect flows. Importing them masks secrets in the process's output, and shortens its log: see `run_log`.

Both happen also if Prefect has started the process.
"""

from config.secrets import hide_in_output
from tasks.many_objects import many_objects

with many_objects():  # so that Prefect is imported in a quarter less time
    from flows.run_log import leave_out_lines_of_prefect

hide_in_output()
leave_out_lines_of_prefect()
