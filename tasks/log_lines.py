"""How does a log line say that the report repeats it? Whoever is shown the report need not be shown the line."""

IN_REPORT = {"in_report": True}  # as `extra` of a logging call
