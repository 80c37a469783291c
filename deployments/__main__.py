"""Starts the `adce` command."""

import os
import signal
import sys
import time
import warnings

# Prefect reads its settings when it is imported, so these come first. What the run says goes to the Prefect
# UI in full and to the terminal from warnings up; the embedded API's own errors come back through its client.
_QUIET = {
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "WARNING",
    "PREFECT_LOGGING_SERVER_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_EXTRA_LOGGERS": "flows,tasks",
}


def main() -> None:
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    # Prefect's own migrations, when its database is made
    warnings.filterwarnings("ignore", message="Skipped unsupported reflection of expression-based index")
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # until a run can do better
    try:
        from deployments.cli import app

        app()
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        # The threads of obstore want the interpreter once more after they have handed over what they found.
        # When it ends under them, the process aborts (SIGABRT), whatever exit status it had.
        time.sleep(0.1)


if __name__ == "__main__":
    main()
