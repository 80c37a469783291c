"""Do the commands read Prefect's settings as Prefect does, and to which server do they send the key?"""

from __future__ import annotations

import os
import ssl
from contextvars import Context
from pathlib import Path

import certifi
import prefect.context
import pytest
from prefect.context import root_settings_context
from prefect.settings import PREFECT_API_KEY, PREFECT_API_URL, PREFECT_UI_URL, Settings

from config.secrets import masked
from deployments.prefect_api.settings import api_key, api_url, link_to_run, tls, ui_url, use_server
from tasks.domain.errors import AdceError

PROFILES = """
active = "work"
[profiles.default]
PREFECT_UI_URL = "http://ui.example"
[profiles.work]
PREFECT_API_URL = "http://work.example:4200/api"
PREFECT_API_KEY = "a-key-of-work"
[profiles.clean]
[profiles.cloud]
PREFECT_API_URL = "https://api.prefect.cloud/api/accounts/1/workspaces/2"
"""
OWN = "http://own.example/api"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    set_here = {"PREFECT_API_URL", "PREFECT_API_KEY"}  # by `use_server`; monkeypatch restores only what it has changed
    for name in {name for name in os.environ if name.startswith("PREFECT_")} | set_here:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    (tmp_path / "profiles.toml").write_text(PROFILES)
    (tmp_path / "other.toml").write_text('[profiles.default]\nPREFECT_API_URL = "http://other.example/api/"')
    return tmp_path


def read_by_prefect(monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings of a process that imports Prefect now."""
    monkeypatch.setattr(prefect.context, "GLOBAL_SETTINGS_CONTEXT", None)
    return Context().run(root_settings_context).settings


@pytest.mark.parametrize(
    "env",
    [
        pytest.param({}, id="the active profile"),
        pytest.param({"PREFECT_PROFILE": "cloud"}, id="another profile, of Prefect's cloud"),
        pytest.param({"PREFECT_PROFILE": "default"}, id="a profile without a server"),
        pytest.param({"PREFECT_PROFILE": "clean"}, id="a profile without a setting"),
        pytest.param({"PREFECT_PROFILE": "misspelt"}, id="a profile that is not there"),
        pytest.param({"PREFECT_PROFILE": ""}, id="an empty name"),
        pytest.param({"PREFECT_PROFILES_PATH": "${PREFECT_HOME}/other.toml"}, id="another file, no active profile"),
        pytest.param({"PREFECT_PROFILES_PATH": "missing.toml"}, id="no file"),
        pytest.param({"PREFECT_API_URL": OWN}, id="a variable beside a profile"),
        pytest.param({"PREFECT_API_URL": OWN, "PREFECT_UI_URL": "http://ui.example/"}, id="a UI of its own"),
        pytest.param({"PREFECT_API_URL": ""}, id="an empty variable"),
    ],
)
def test_the_settings_are_those_that_prefect_reads(
    env: dict[str, str], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    theirs = read_by_prefect(monkeypatch)
    url = PREFECT_API_URL.value_from(theirs) or None
    assert api_url() == url
    assert ui_url(url) == ((PREFECT_UI_URL.value_from(theirs) or "").rstrip("/") or None)
    assert (api_key(url) if url else None) == (PREFECT_API_KEY.value_from(theirs) if url else None)


def test_the_key_is_for_the_named_server_only_whoever_asks_it(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (api_key("http://work.example:4200/api/"), api_key(OWN)) == ("a-key-of-work", None)
    assert masked("it has a-key-of-work in it") == "it has *** in it"
    use_server(OWN)
    theirs = read_by_prefect(monkeypatch)
    assert (PREFECT_API_URL.value_from(theirs), PREFECT_API_KEY.value_from(theirs)) == (OWN, "")


@pytest.mark.parametrize("text", ["active = ", "profiles = 3", "[profiles]\nwork = 3"])
def test_a_file_without_profiles_is_named(text: str, home: Path) -> None:
    (home / "profiles.toml").write_text(text)
    with pytest.raises(AdceError, match=f"{home}/profiles.toml: Prefect's profiles cannot be read"):
        api_url()


def test_a_link_shows_no_password(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert link_to_run("http://ann:hidden-word@host:4200/api", "7") == "http://***@host:4200/flow-runs/flow-run/7"
    monkeypatch.setenv("PREFECT_UI_URL", "https://prefect.example/ui/")
    assert link_to_run(None, "7") == "https://prefect.example/ui/flow-runs/flow-run/7"


def test_certificates_are_checked_as_prefect_checks_them(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert tls() is True
    monkeypatch.setenv("PREFECT_API_SSL_CERT_FILE", str(home / "missing.pem"))
    with pytest.raises(AdceError, match=r"missing\.pem cannot be used: No such file"):
        tls()
    monkeypatch.setenv("PREFECT_API_SSL_CERT_FILE", certifi.where())
    assert isinstance(tls(), ssl.SSLContext)
    for yes in ("true", "T", "y", "1"):
        monkeypatch.setenv("PREFECT_API_TLS_INSECURE_SKIP_VERIFY", yes)
        assert tls() is False
