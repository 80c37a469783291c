"""How does a command end after an error? With a line that says what to do, and an exit status."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from config.load import ConfigError
from config.secrets import masked
from deployments.prefect_api.settings import api_url
from tasks.domain.errors import AdceError


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Turns errors that the user can correct into lines on standard error, and exit status 2.

    After Ctrl-C the exit status is 130. All other errors pass through.
    """
    try:
        yield
    except ConfigError as error:
        for line in error.lines:
            typer.echo(f"adce: {line}", err=True)
        raise typer.Exit(2) from None
    except AdceError as error:
        typer.echo(f"adce: {error}", err=True)
        raise typer.Exit(2) from None
    except (KeyboardInterrupt, typer.Abort):  # Abort: Ctrl-C in answer to a question
        raise typer.Exit(130) from None
    except Exception as error:
        is_http = type(error).__module__.startswith(("httpx", "httpcore")) or _refusal(error)
        if "Failed to reach API" not in str(error) and not is_http:
            raise
        url = api_url()
        line = f"the Prefect API at {url} cannot be reached; start it, or unset PREFECT_API_URL"
        if refused := _refusal(error):
            line = f"the Prefect API at {url} refuses access with HTTP {refused}; is PREFECT_API_KEY right?"
        typer.echo(f"adce: {masked(line)}", err=True)
        raise typer.Exit(2) from None


def _refusal(error: Exception) -> int | None:
    """The HTTP status with which Prefect's server, or a proxy before it, refuses the credentials; None otherwise."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    return status if status in (401, 403, 407) else None
