"""Is nothing secret left in a text, and everything else?"""

from __future__ import annotations

import base64
import logging
import pickle
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from urllib.parse import quote

import httpx
import pytest

from config import secrets
from config.load import ConfigError, load_config
from config.secrets import (
    hide_in_output,
    masked,
    masked_url,
    no_secret_in_errors,
    register,
    register_environment,
    register_settings,
    without_secrets,
)
from tasks.domain.errors import AdceError, FetchError, RefusedError

SECRET = "hunter2-Zq8x"


@pytest.fixture(autouse=True)
def _nothing_learnt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "_known", set())


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://me:hunter2-Zq8x@h:9000/b: HTTP 500", "https://***@h:9000/b: HTTP 500"),
        (
            "lake s3://b: the endpoint 'http://me:hunter2-Zq8x@h' is none",
            "lake s3://b: the endpoint 'http://***@h' is none",
        ),
        ("clone https://hunter2-Zq8x@github.com/x", "clone https://***@github.com/x"),
        ("https://me:hunter2-Zq8x@with@h/x", "https://***@h/x"),
        ("https://me:a/hunter2-Zq8x@h/x", "https://***@h/x"),
        ("next=https%3A%2F%2Fme%3Ahunter2-Zq8x%40h%2Fx&a=1", "next=https%3A%2F%2F***%40h%2Fx&a=1"),
        ("it is me:hunter2-Zq8x@h, they say", "it is ***@h, they say"),
        ("postgresql://h/db?user=me&password=hunter2-Zq8x: no", "postgresql://h/db?user=me&password=***: no"),
        ("host=h password='hunter2-Zq8x' user=me", "host=h password='***' user=me"),
        ("AWS_SECRET_ACCESS_KEY=hunter2-Zq8x and more", "AWS_SECRET_ACCESS_KEY=*** and more"),
        ("PREFECT_API_KEY: pnu_hunter2Zq8x", "PREFECT_API_KEY: ***"),
        ("/f?X-Amz-Signature=hunter2-Zq8x&X-Amz-Date=1", "/f?X-Amz-Signature=***&X-Amz-Date=1"),
        ("/f?X-Amz-Credential=AKIA1%2F2026%2Fus-east-1%2Fs3&a=1", "/f?X-Amz-Credential=***&a=1"),
        ("/f?X-Amz-Security-Token=hunter2-Zq8x%3D%3D&a=1", "/f?X-Amz-Security-Token=***&a=1"),
        ("u=%2Ff%3FX-Amz-Signature%3Dhunter2-Zq8x%26a%3D1", "u=%2Ff%3FX-Amz-Signature%3D***%26a%3D1"),
        ("GET /\nAuthorization: Bearer hunter2-Zq8x\nAccept: a", "GET /\nAuthorization: ***\nAccept: a"),
        ("Set-Cookie: id=hunter2-Zq8x; Path=/", "Set-Cookie: ***"),
        ("X-Auth-Token: hunter2-Zq8x", "X-Auth-Token: ***"),
        ("it is ['Bearer hunter2-Zq8x']", "it is ['Bearer ***']"),
        ("{'Authorization': 'hunter2-Zq8x it', 'a': 1}", "{'Authorization': '***', 'a': 1}"),
        ('{"api_key": "hunter2-Zq8x", "a": 1}', '{"api_key": "***", "a": 1}'),
        (r'"{\"token\": \"hunter2-Zq8x\", \"a\": 1}"', r'"{\"token\": \"***\", \"a\": 1}"'),
        ("run --db-password hunter2-Zq8x --game 1", "run --db-password *** --game 1"),
        ("<AWSSecretAccessKey>hunter2-Zq8x</AWSSecretAccessKey>", "<AWSSecretAccessKey>***</AWSSecretAccessKey>"),
        ("no such key AKIAIOSFODNN7EXAMPLE here", "no such key *** here"),
        ("got eyJhbGciOiJI.eyJzdWIiOiIx.hunter2-Zq8x back", "got *** back"),
        (
            "posting to https://hooks.slack.com/services/T0/B0/hunter2Zq8x",
            "posting to https://hooks.slack.com/services/***",
        ),
        ("k: -----BEGIN RSA PRIVATE KEY-----\nhunter2\n-----END RSA PRIVATE KEY----- ok", "k: *** ok"),
    ],
)
def test_what_has_the_shape_of_a_secret_is_masked_and_nothing_else(text: str, shown: str) -> None:
    assert masked(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "https://stats.nba.com/stats/boxscore?GameID=0022500001&EndPeriod=0: HTTP 503",
        "environment variable ADCE_X: aws_credentials: Prefect has no AwsCredentials block 'lake'; create it there",
        "lake s3://nba/raw: no AWS credentials; set them in the environment or name a block",
        "was due at 2026-01-15 12:00 UTC, tokens of 3: espn_box_scores/401810001.json",
        "rate bucket adce-espn: limit 5, should be 10; run `adce setup`",
        "Rscript usage.R --game 0022500001 --last=5: exit status 1: no such token",
        "ledger sqlite:////data/adce.db cannot be opened: disk is full",
        "somebody@example.com wrote: at 12:30 it failed",
        "lake file:///home/me@example.com/lake cannot be written: no space",
        "ledger sqlite:////home/me@example.com/adce.db cannot be opened: disk is full",
    ],
)
def test_an_ordinary_text_stays_as_it_is(text: str) -> None:
    assert masked(text) == text


def test_every_text_within_a_value_is_masked_and_the_names_stay() -> None:
    register([SECRET])
    value = {SECRET: [f"it is {SECRET}", (SECRET, 1)], "a": {"b": None, "c": f"https://me:{SECRET}@h/x"}}
    assert without_secrets(value) == {SECRET: ["it is ***", ["***", 1]], "a": {"b": None, "c": "https://***@h/x"}}


def test_a_url_may_have_spaces_in_its_password() -> None:
    assert masked_url("postgresql://me:hunter2 Zq8x'@h/db") == "postgresql://***@h/db"


def test_a_long_text_takes_no_long_time() -> None:
    begun = time.process_time()
    for text in (
        "a" * 50_000,
        "https://" * 5000,
        "a:" * 20_000,
        "token" * 10_000,
        "%3A%2F%2F" * 5000,
        "'password': '" * 3000,
    ):
        masked(text)
    assert time.process_time() - begun < 20  # quadratic would be minutes


@pytest.mark.parametrize(
    "text",
    [
        f"prefix{SECRET}suffix",
        quote("pässword/ with @", safe=""),
        "pässword/ with @",
        r"it is 'two\nlines\tof it'",
        base64.b64encode(f"me:{SECRET}".encode()).decode(),
    ],
)
def test_what_is_known_is_masked_wherever_it_stands_and_however_it_is_written(text: str) -> None:
    register(["pässword/ with @", "two\nlines\tof it"])
    register_environment({"AWS_ENDPOINT_URL": f"http://me:{SECRET}@h"})
    assert "***" in masked(text)
    assert not any(part in masked(text) for part in (SECRET, "lines", "with", "c3M6", "aHVudGVy"))


def test_a_short_value_is_masked_as_a_word_and_a_very_short_one_not_at_all() -> None:
    register(["season", "test"])
    assert masked("test of a season in all seasons") == "test of a *** in all seasons"


def test_an_at_sign_in_a_path_makes_no_secret_of_what_is_before_it() -> None:
    register_environment({"HOME_PAGE": "https://cdn.example.com/npm/a@1.2", "ADCE_LAKE": "file:///home/me@work/lake"})
    register_environment({"PROXY": f"http://me:{SECRET}/of/it@h:8080/x"})
    text = "https://cdn.example.com/npm/b: HTTP 404, see /home/me/log"
    assert masked(text) == text
    assert masked(f"it is {SECRET}/of/it") == "it is ***"


def test_variables_tell_by_their_names_what_is_secret() -> None:
    env = {
        "AWS_SECRET_ACCESS_KEY": "aaaaaaaaaa",
        "AWS_SESSION_TOKEN": "bbbbbbbbbb",
        "PREFECT_API_DATABASE_PASSWORD": "cccccccccc",
        "AWS_WEB_IDENTITY_TOKEN_FILE": "/run/token",
        "NBA_LOGIN": "dddddddddd",
        "ADCE_LAKE": "s3://lake",
    }
    register_environment(env, ["NBA_LOGIN", "ADCE_LAKE"])
    assert masked(" ".join(env.values())) == "*** *** *** /run/token *** s3://lake"


def test_a_path_of_this_machine_is_no_secret_whatever_its_variable_is_called(tmp_path: Path) -> None:
    (tmp_path / "key.json").touch()
    env = {
        "PWD": "/srv/nba/work",
        "OLDPWD": "/srv/nba/not-there-any-more",
        "MYPWD": f"{tmp_path}",
        "GOOGLE_APPLICATION_CREDENTIALS": f"{tmp_path}/key.json",
        "SITE_PASSWORD": f"{tmp_path}/not-made-yet",
        "SITE_TOKENS": f"{tmp_path}/key.json:{tmp_path}",
        "DATA": f"{tmp_path}/out",
        "LAKE_OF_SCRIPT": f"file://{tmp_path}/lake",
        "OTHER_LAKE": "s3://bucket/nba",
        "INPUT_DIR": "/srv/nba/input",
    }
    register_environment(env, ["DATA", "PWD", "LAKE_OF_SCRIPT", "OTHER_LAKE", "INPUT_DIR"])
    text = " ".join(f"it is {value}" for value in env.values())
    assert masked(text) == text


@pytest.mark.parametrize("name", ["DB_PASSWORD", "DB_PWD", "SITE_TOKEN", "AWS_SECRET_ACCESS_KEY", "SITE_LOGIN"])
@pytest.mark.parametrize("secret", ["/Zq8xhunter2", "/Zq8x/hunter/2", "//Zq8x/hunter2", "/Zq8x:hunter2", "::::::::"])
def test_a_secret_that_begins_as_a_path_does_is_one(name: str, secret: str) -> None:
    register_environment({name: secret}, ["SITE_LOGIN"])
    assert masked(f"it is {secret} then") == "it is *** then"


def test_settings_tell_what_is_secret_also_where_they_are_wrong() -> None:
    register_settings(
        {
            "sources": {
                "espn": {
                    "headers": {"X-Own": "aaaaaaaaaa", "Cookie": "id=bbbbbbbbbb; n=1", "User-Agent": "Mozilla/5.0"}
                },
                "nba_api": {"headers": ["Bearer cccccccccc"], "base_url": "https://me:dddddddddd@h"},
            },
            "rollout": {"x": {"changes": {"headers": {"X-Key": 1234567890}}}},
        }
    )
    said = masked("aaaaaaaaaa bbbbbbbbbb cccccccccc dddddddddd 1234567890 Mozilla/5.0")
    assert said == "*** *** *** *** *** Mozilla/5.0"


def test_an_error_has_no_secret_from_its_beginning() -> None:
    for error in (AdceError, FetchError, RefusedError):
        assert str(error(f"https://me:{SECRET}@h/x: HTTP 500")) == "https://***@h/x: HTTP 500"
    error = pickle.loads(pickle.dumps(ConfigError([f"a: https://me:{SECRET}@h", "b"])))
    assert error.lines == ["a: https://***@h", "b"]


class _OwnTextError(Exception):
    def __str__(self) -> str:
        return f"password={SECRET}"


def test_any_other_error_that_leaves_a_flow_is_masked_with_what_it_came_from() -> None:
    with pytest.raises(ValueError, match=r"^https://\*\*\*@h$") as caught, no_secret_in_errors():
        raise ValueError(f"https://me:{SECRET}@h") from OSError(f"token={SECRET}")
    assert str(caught.value.__cause__) == "token=***"
    with pytest.raises(RuntimeError, match=r"^_OwnTextError: password=\*\*\*$"), no_secret_in_errors():
        raise _OwnTextError
    with pytest.raises(httpx.ConnectError, match=r"^no$"), no_secret_in_errors():
        raise httpx.ConnectError("no")


@pytest.fixture
def _hidden() -> Iterator[None]:
    before = logging.getLogRecordFactory(), sys.excepthook
    hide_in_output()
    yield
    logging.setLogRecordFactory(before[0])
    sys.excepthook = before[1]


@pytest.mark.usefixtures("_hidden")
def test_no_line_of_a_log_has_a_secret_nor_has_a_traceback(caplog: pytest.LogCaptureFixture) -> None:
    log = logging.getLogger("tasks.any")
    log.warning("%s is asked for: %s", f"https://me:{SECRET}@h", {"Authorization": SECRET})
    try:
        raise ValueError(f"password={SECRET}")
    except ValueError:
        log.exception("it failed")
    assert "https://***@h is asked for: {'Authorization': '***'}" in caplog.text
    assert "ValueError: password=***" in caplog.text
    assert SECRET not in caplog.text


def test_a_process_that_ends_with_a_traceback_prints_no_secret() -> None:
    code = f"""
        from config.secrets import hide_in_output
        hide_in_output()
        raise ValueError("https://me:" + "{SECRET[:5]}" + "{SECRET[5:]}@h")
    """
    done = subprocess.run([sys.executable, "-c", dedent(code)], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "ValueError: https://***@h" in done.stderr


MISTAKES = [
    pytest.param(f"sources: {{espn: {{headers: {{Authorization: [{SECRET}]}}}}}}", {}, "list", id="list in a header"),
    pytest.param(f"sources: {{espn: {{headers: {SECRET}}}}}", {}, "str", id="text for headers"),
    pytest.param(f"sources: {{espn: {{headers: [Bearer, {SECRET}]}}}}", {}, "list", id="list for headers"),
    pytest.param(f"sources: {{espn: [{SECRET}]}}", {}, "list", id="list for a source"),
    pytest.param(f"sources: {{espn: {SECRET}}}", {}, "str", id="text for a source"),
    pytest.param(f"sources: {SECRET}", {}, "str", id="text for sources"),
    pytest.param(f"sources: {{espn: {{base_url: 'ftp://me:{SECRET}@h'}}}}", {}, "str", id="base URL"),
    pytest.param(f"ledger: 'mysql://me:{SECRET}@h/db'", {}, "str", id="ledger"),
    pytest.param(f"ledger: [{SECRET}]", {}, "list", id="list for the ledger"),
    pytest.param(f"lake: 's3://me:{SECRET}@bucket'", {}, "str", id="lake"),
    pytest.param(f"aws_credentials: [{SECRET}]", {}, "list", id="credentials"),
    pytest.param(
        f"rollout: {{x: {{percent: 1, sources: [espn], changes: {{headers: {{A: [{SECRET}]}}}}}}}}", {}, "list",
        id="list in a header of a rollout",
    ),
    pytest.param(
        f"rollout: {{x: {{percent: 1, sources: [espn], changes: {{base_url: 'ftp://m:{SECRET}@h'}}}}}}", {}, "does not",
        id="base URL of a rollout",
    ),
    pytest.param(
        f"rollout: {{x: {{percent: 1, sources: [espn], changes: {{headers: {SECRET}}}}}}}", {}, "str",
        id="text for the headers of a rollout",
    ),
    pytest.param("", {"ADCE_SOURCES__ESPN__HEADERS": f"{{A: {SECRET}"}, "not YAML", id="variable that is not YAML"),
    pytest.param("", {"ADCE_SOURCES__ESPN__HEADERS": f"[{SECRET}]"}, "list", id="variable that is a list"),
    pytest.param("", {"ADCE_SOURCES__ESPN__HEADERS__COOKIE": f"[{SECRET}]"}, "list", id="variable of one header"),
    pytest.param("", {"ADCE_LAKE": f"http://me:{SECRET}@h"}, "str", id="variable of the lake"),
    pytest.param(f"a: *{SECRET}", {}, "not YAML", id="YAML that takes it for an alias"),
    pytest.param(f"a: !{SECRET}", {}, "not YAML", id="YAML that takes it for a tag"),
    pytest.param(f"a: !!int {SECRET}", {}, "not YAML", id="YAML that takes it for a number"),
    pytest.param(f"a: '{SECRET}", {}, "not YAML", id="YAML without its last quote"),
    pytest.param(f"a: b: {SECRET}", {}, "not YAML", id="YAML with a colon too many"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "env", "said"), MISTAKES)
def test_a_line_about_a_wrong_setting_has_its_type_and_not_what_may_be_secret(
    tmp_path: Path, text: str, env: dict[str, str], said: str
) -> None:
    (tmp_path / "my.yaml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config(tmp_path / "my.yaml", env)
    assert said in str(caught.value)
    assert SECRET not in str(caught.value)
    assert SECRET not in repr(caught.value)
