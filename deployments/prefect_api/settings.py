"""Which Prefect server do the settings of Prefect name? They are read here without importing Prefect, as it reads them.

A variable of the environment goes before the active profile, even if it is empty. See `prefect profile --help`.
"""

from __future__ import annotations

import os
import ssl
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from config.secrets import masked, register
from tasks.domain.errors import AdceError

_TRUE = {"true", "t", "1", "yes", "y", "on"}  # what pydantic 1, and so Prefect, reads as true
_CLOUD_API, _CLOUD_UI = "https://api.prefect.cloud", "https://app.prefect.cloud"


def api_url() -> str | None:
    """The address of the API that PREFECT_API_URL names, in the environment or in the active profile."""
    return _setting("PREFECT_API_URL")


def api_key(server: str) -> str | None:
    """The key for a server: PREFECT_API_KEY, which is for no other server than the one that PREFECT_API_URL names."""
    key = _setting("PREFECT_API_KEY") if _is_named(server) else None
    register([key] if key else [])
    return key


def tls() -> ssl.SSLContext | bool:
    """How the certificate of a server is checked, for httpx. Raises AdceError."""
    if str(_setting("PREFECT_API_TLS_INSECURE_SKIP_VERIFY")).lower() in _TRUE:
        return False
    file = _setting("PREFECT_API_SSL_CERT_FILE")
    try:
        return ssl.create_default_context(cafile=file) if file else True
    except OSError as error:
        raise AdceError(f"PREFECT_API_SSL_CERT_FILE: {file} cannot be used: {error.strerror or error}") from None


def use_server(server: str) -> None:
    """Has Prefect use this server in this process, if it is not imported yet. Another server gets no key."""
    if api_key(server) is None:
        os.environ["PREFECT_API_KEY"] = ""
    os.environ["PREFECT_API_URL"] = server


def prefect_command(server: str, arguments: str) -> str:
    """A command line of Prefect that is about this server, which it names only if Prefect's settings do not."""
    return f"{'' if _is_named(server) else f'PREFECT_API_URL={masked(server)} '}prefect {arguments}"


def ui_url(server: str | None) -> str | None:
    """The address of a server's UI: PREFECT_UI_URL, or what Prefect derives from the API's. It shows no password."""
    if url := _setting("PREFECT_UI_URL"):
        return masked(url.rstrip("/"))
    if server is None:
        return None
    url = server.rstrip("/").removesuffix("/api").replace(_CLOUD_API, _CLOUD_UI).replace("/api/", "/")
    return masked(url.replace("/accounts/", "/account/").replace("/workspaces/", "/workspace/"))


def link_to_run(server: str | None, flow_run: str) -> str | None:
    """The address of a flow run's page in the UI; None if no server is known, or Prefect's settings cannot be read."""
    try:
        ui = ui_url(server)
    except AdceError:
        return None
    return f"{ui}/flow-runs/flow-run/{flow_run}" if ui else None


def _is_named(server: str) -> bool:
    """Is it the server that PREFECT_API_URL names?"""
    named = api_url()
    return named is not None and named.rstrip("/") == server.rstrip("/")


def _setting(name: str) -> str | None:
    """The value of a setting; None if it is not set, or empty."""
    value = os.environ[name] if name in os.environ else _active_profile().get(name)
    return str(value) if value else None


def _active_profile() -> Mapping[str, Any]:
    home = os.environ.get("PREFECT_HOME") or "~/.prefect"
    path = os.environ.get("PREFECT_PROFILES_PATH") or "${PREFECT_HOME}/profiles.toml"
    file = Path(path.replace("${PREFECT_HOME}", os.path.expanduser(home)))
    try:
        found = tomllib.loads(file.read_text())
        profiles = _profiles(found)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise AdceError(f"{file}: Prefect's profiles cannot be read ({error}); correct or remove the file") from None
    active = os.environ.get("PREFECT_PROFILE", found.get("active")) or "default"
    return profiles.get(active, profiles.get("default", {}))


def _profiles(found: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    """The profiles of a file, by name. Raises ValueError if they are no tables."""
    profiles = found.get("profiles", {})
    if not isinstance(profiles, dict) or not all(isinstance(profile, dict) for profile in profiles.values()):
        raise ValueError("profiles is not a table of profiles")
    return profiles
