"""Everything around the flows: the command, and where and how the system runs. Nothing else imports from here."""
