"""Everything around the flows: the command, the set-up of Prefect, and how the system runs. Nothing else imports it."""
