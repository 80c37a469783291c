"""Starts the `adce` command."""

import os
import signal
import sys
import time
import warnings
from contextlib import suppress

from config.secrets import hide_in_output

# Prefect reads its settings when it is imported, so these come first. What the run says goes to the Prefect
# UI in full, and to the terminal from warnings up (deployments.terminal), also where there is no run in Prefect; the
# embedded API's own errors come back through its client.
_QUIET = {
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "WARNING",
    "PREFECT_LOGGING_SERVER_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_EXTRA_LOGGERS": "flows,tasks,blocks",
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
}


def main() -> None:
    hide_in_output()
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    # Prefect's own migrations, when its database is made
    warnings.filterwarnings("ignore", message="Skipped unsupported reflection of expression-based index")
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # until a run can do better
    try:
        from deployments.cli import app
        from deployments.terminal import show_log

        show_log()
        app()
        status: str | int | None = 0
    except KeyboardInterrupt:
        status = 130
    except SystemExit as end:
        status = end.code
    if "prefect" not in sys.modules and isinstance(status, int):
        # Nothing is left to end in order, and to take a million cells apart is half a second.
        with suppress(BrokenPipeError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)
    # The threads of obstore want the interpreter once more after they have handed over what they found.
    # When it ends under them, the process aborts (SIGABRT), whatever exit status it had.
    time.sleep(0.1)
    sys.exit(status)


if __name__ == "__main__":
    main()
