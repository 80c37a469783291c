"""Starts the `adce` command."""

import io
import os
import signal
import sys
import time
import warnings
from contextlib import suppress

from config.secrets import hide_in_output
from tasks.domain.errors import AdceError

# Prefect reads its settings when it is imported, so these come first. What the run says goes to the Prefect UI in full,
# and to the terminal from warnings up (deployments.cli.terminal), also where there is no run in Prefect; the embedded
# API's own errors come back through its client.
_QUIET = {
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "WARNING",
    "PREFECT_LOGGING_SERVER_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_EXTRA_LOGGERS": "flows,tasks,blocks",
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
}


class _Output(io.TextIOWrapper):
    """Standard output. What it cannot take is said in a line; that its reader has gone is no mistake."""

    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except OSError as error:
            raise self._lost(error) from None

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            raise self._lost(error) from None

    def _lost(self, error: OSError) -> Exception:
        os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())  # for what is left of it
        if isinstance(error, BrokenPipeError):
            return error
        return AdceError(f"standard output cannot be written: {error.strerror}")


def _take_output() -> None:
    """Raises AdceError where there is none: the next file that is opened would take its place."""
    if sys.stdout is None:
        raise AdceError("standard output is closed; if nobody is to read it, use > /dev/null")
    was = sys.stdout
    sys.stdout = _Output(was.buffer, was.encoding, was.errors, line_buffering=was.isatty())


def main() -> None:
    if sys.stderr is None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        sys.stderr = open(2, "w")  # noqa: SIM115 (for as long as the process lives)
    hide_in_output()
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    # Prefect's own migrations, when its database is made
    warnings.filterwarnings("ignore", message="Skipped unsupported reflection of expression-based index")
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # until a run can do better
    status: str | int | None = 0
    try:
        _take_output()
        from deployments.cli import app
        from deployments.cli.terminal import show_log

        show_log()
        try:
            app()
        finally:
            with suppress(BrokenPipeError):
                sys.stdout.flush()
    except KeyboardInterrupt:
        status = 130
    except SystemExit as end:
        status = end.code
    except AdceError as error:
        print(f"adce: {error}", file=sys.stderr)
        status = 2
    if "prefect" not in sys.modules and isinstance(status, int):
        # Nothing is left to end in order, and to take a million cells apart is half a second.
        with suppress(BrokenPipeError):
            sys.stderr.flush()
        os._exit(status)
    # The threads of obstore want the interpreter once more after they have handed over what they found.
    # When it ends under them, the process aborts (SIGABRT), whatever exit status it had.
    time.sleep(0.1)
    sys.exit(status)


if __name__ == "__main__":
    main()
