"""How is a log line marked that repeats the report of the run? It is not shown where the report is shown."""

IN_REPORT = {"in_report": True}  # as `extra` of a logging call
