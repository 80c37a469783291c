"""Does `adce up` run the service of status, health and metrics, and if not, why?"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping

from config.models import Config
from deployments.serve.server import check_access, listener
from deployments.up.children import Child
from tasks.domain.errors import AdceError

_STOPS_WITHIN = 10.0  # seconds


def service_of(
    config: Config, port: int | None, env: Mapping[str, str], say: Callable[[str, int], None]
) -> Child | None:
    """The process that answers on `port`, by default that of the settings; None if there is none.

    `say` is told why there is none, unless the settings say so. Everything else works without it.
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
    argv = [sys.executable, "-W", "ignore", "-m", "deployments", "serve", "--port", str(settings.port)]
    return Child("serve", argv, env, _STOPS_WITHIN, is_adce=True, is_vital=False)
