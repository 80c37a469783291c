"""Starts the `adce` command."""

import io
import os
import signal
import sys
import threading
import time
import warnings

# Prefect reads its settings when it is imported, so these are set before. The log goes to the Prefect UI in full, and
# deployments.cli.terminal decides what of it a run shows in the terminal. A message outside a run is not an error. The
# embedded API logs only critical errors, because its client raises the others.
_QUIET = {
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "WARNING",
    "PREFECT_LOGGING_SERVER_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_EXTRA_LOGGERS": "flows,tasks,blocks",
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
}


_ENDS_WITHIN = 20.0  # seconds for Prefect to send the last lines of a run's log


class _Output(io.TextIOWrapper):
    """Standard output. After an error of writing, the rest of the output is discarded.

    The error becomes an AdceError, unless the reader of a pipe has gone: `adce plan | head` is no mistake, and the
    exit status says what the command has found.
    """

    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except OSError as error:
            self._discard(error)
            return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            self._discard(error)

    def _discard(self, error: OSError) -> None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())
        if not isinstance(error, BrokenPipeError):
            from tasks.domain.errors import AdceError

            raise AdceError(f"standard output cannot be written: {error.strerror}") from None


class _ErrorOutput(_Output):
    """Standard error. After an error of writing, the rest is discarded: nobody could be told."""

    def _discard(self, error: OSError) -> None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())


def _replace_output() -> None:
    """Replaces standard output and standard error.

    Raises AdceError if standard output is closed, because the next file that is opened would get its descriptor.
    """
    sys.stderr = _ErrorOutput(sys.stderr.buffer, sys.stderr.encoding, sys.stderr.errors, line_buffering=True)
    if sys.stdout is None:
        from tasks.domain.errors import AdceError

        raise AdceError("standard output is closed; if nobody is to read it, use > /dev/null")
    former = sys.stdout
    sys.stdout = _Output(former.buffer, former.encoding, former.errors, line_buffering=former.isatty())


def main() -> None:
    """Runs the command, and ends the process with its exit status."""
    status: str | int | None = 0
    try:
        _run()
    except KeyboardInterrupt:
        status = 130
    except SystemExit as end:
        status = end.code
    # A further Ctrl-C ends what is left. Python's own handler would print a traceback and kill the process.
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))
    if "prefect" not in sys.modules and isinstance(status, int):
        # Nothing needs an orderly end, and freeing the memory of a million cells would take half a second.
        sys.stderr.flush()
        os._exit(status)
    # The threads of obstore need the interpreter once more after they have returned a result. If it ends before that,
    # the process aborts (SIGABRT) instead of ending with its exit status.
    time.sleep(0.1)
    if isinstance(status, int):
        _end_within(_ENDS_WITHIN, status)
    sys.exit(status)


def _end_within(seconds: float, status: int) -> None:
    """Ends the process after some seconds at the latest. A thread of Prefect's may never end, as on a full disk."""
    timer = threading.Timer(seconds, os._exit, [status])
    timer.daemon = True
    timer.start()


def _run() -> None:
    """Runs the command. Its modules are imported here, so that Ctrl-C ends it quietly from the beginning."""
    from config.secrets import hide_in_output
    from tasks.domain.errors import AdceError

    if sys.stderr is None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        # `__stderr__`, which only typeshed calls final, keeps it open when `_replace_output` replaces `stderr`.
        sys.stderr = sys.__stderr__ = open(2, "w")  # type: ignore[misc]  # noqa: SIM115 (open until the process ends)
    hide_in_output()
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    # Prefect's own migrations warn of this when its database is made.
    warnings.filterwarnings("ignore", message="Skipped unsupported reflection of expression-based index")
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # until a run has its own handler
    try:
        _replace_output()
        from deployments.cli import app
        from deployments.cli.terminal import show_log

        show_log()
        try:
            app()
        finally:
            sys.stdout.flush()
    except AdceError as error:
        print(f"adce: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
