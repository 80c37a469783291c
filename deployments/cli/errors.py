"""How does a command end after an error? With a line that says what to do, and an exit status."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from config.load import ConfigError
from config.secrets import masked
from deployments.prefect_api.settings import api_url
from deployments.prefect_api.unusable import why_unusable
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
        reason = why_unusable(error, api_url())
        if reason is None:
            raise
        typer.echo(f"adce: {masked(reason)}", err=True)
        raise typer.Exit(2) from None
