"""Does `adce up` run the service of status, health and metrics, and if not, why?"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping

from config.models import Config, Serve
from deployments.serve.server import address_of, check_access, listener
from deployments.up.children import Child
from tasks.domain.errors import AdceError

_STOPS_WITHIN = 10.0  # seconds
_TOKEN = "ADCE_SERVE__TOKEN"


def service_of(
    config: Config, port: int | None, env: Mapping[str, str], say: Callable[[str, int], None]
) -> Child | None:
    """The process that answers on `port`, by default that of the settings; None if there is none.

    `say` is told where the status page is, and where its token; or why there is none, unless the settings say so.
    Everything else works without it.
    """
    if not config.serve.enabled:
        return None
    settings = config.serve.model_copy(update={"port": port or config.serve.port})
    try:
        check_access(settings)
        with listener(settings, option="--serve-port"):
            pass
    except AdceError as error:
        say(f"adce serve is not started, and all else goes on: {error}", logging.WARNING)
        return None
    say(f"the status page is {address_of(settings)}{_token(settings, env)}", logging.INFO)
    argv = [sys.executable, "-W", "ignore", "-m", "deployments", "serve", "--port", str(settings.port)]
    return Child("serve", argv, env, _STOPS_WITHIN, is_adce=True, is_vital=False)


def _token(settings: Serve, env: Mapping[str, str]) -> str:
    if settings.token is None:
        return ""
    return f"; it wants the token of {_TOKEN if _TOKEN in env else 'the setting serve.token'}"
