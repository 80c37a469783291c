"""Which parts of a text are secret, and how is the text shown without them?

The text of every error passes through `masked`, and so does every log line after `hide_in_output`. A secret is
recognised by its shape (the userinfo of a URL, password=…, Bearer …, a signature), or by its value, if `register` has
registered that value from the configuration or the environment.
"""

from __future__ import annotations

import base64
import json
import logging
import os
import re
import sys
import threading
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from types import TracebackType
from typing import Any
from urllib.parse import quote, quote_plus, unquote

MASK = "***"
_SHORTEST = 6  # shortest value, in characters, that is masked; a shorter one, such as "test", is a word of many texts
_LONG = 16  # shortest part of a secret URL, in characters, that is a secret of its own
_TARGETS = ["alerts", "targets"]  # the path of those that are told
_INSIDE_WORDS = 12  # shortest value, in characters, that is masked within a longer word too

# The name of a secret contains one of these words.
_WORDS = (
    r"password|passwd|passphrase|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|signature|credential"
    r"|authorization|cookie|session[_-]?id|connection[_-]?string|(?<![a-z])(?:auth|sig|pass)(?![a-z])"
)
_NAME = rf"(?:{_WORDS})[\w.-]{{0,40}}"
_HEADER = rf"(?:proxy-)?authorization|(?:set-)?cookie|x-[\w-]{{0,40}}(?:{_WORDS})[\w-]{{0,20}}"
# Endings of the names of variables whose value is a path (PWD is the working folder of a shell), and of those whose
# value is a path or a name.
_PATHS = r"(?:^|_)(?:file|files|path|dir|home|sock)$|^(?:tmpdir|(?:old)?pwd)$"
_OF_PATHS = re.compile(_PATHS, re.IGNORECASE)
_PLACE = re.compile(rf"{_PATHS}|_(?:name|arn|region|profile)$", re.IGNORECASE)
_SCHEMES = ("bearer", "basic", "token", "digest", "negotiate", "apikey")
_HINTS = (
    "pass",
    "pwd",
    "secret",
    "token",
    "key",
    "signature",
    "credential",
    "auth",
    "cookie",
    "session",
    "sig",
    "conn",
)
# Each shape has hints in lower case, a pattern and a replacement. A text without any of the hints cannot contain the
# shape, so that the slower search for the pattern is skipped.
_SHAPES = [
    (hints, re.compile(pattern, re.IGNORECASE | re.DOTALL), shown)
    for hints, pattern, shown in (
        # user:password@ and token@ in a URL, also percent-encoded within another URL; the URL of a file has none
        (("@",), r"(?<!file)(?<!sqlite)(://)[^\s\"'<>]{1,2000}@", rf"\1{MASK}@"),
        (("%40",), r"(%3A%2F%2F)[^\s\"'<>&]{1,2000}%40", rf"\1{MASK}%40"),
        (("@",), r"(?<![\w/*])[^\s\"'<>:/@=,;(]{1,100}:[^\s\"'<>/@*]{1,200}@(?=[\w\[])", f"{MASK}@"),
        # a line with a header, and a header's credentials anywhere
        (_HINTS, rf"(?<![\w.-])({_HEADER}):[^\n]+", rf"\1: {MASK}"),
        (("bearer",), r"\b(bearer)\s+[^\s\"'<>,;\]})]{4,}", rf"\1 {MASK}"),
        (_SCHEMES, r"\b(basic|token|digest|negotiate)\s+(?=[^\s\"']*\d)[\w.~+/=-]{8,}", rf"\1 {MASK}"),
        # name=value in a query, a connection string or an environment; "name": "value" in JSON; --name value; XML
        (_HINTS, rf"({_NAME}(?:=|%3D)\s*)(\\*[\"'])(?:.+?)\2", rf"\1\2{MASK}\2"),
        (_HINTS, rf"({_NAME}(?:=|%3D))(?:[^\s&;,\"'<>)\]}}%:]|%(?!26)|:(?=\S))+", rf"\1{MASK}"),
        (_HINTS, rf"({_NAME}\\*[\"']\s*:\s*[\[(]?\s*)(\\*[\"'])(?:.+?)\2", rf"\1\2{MASK}\2"),
        (_HINTS, rf"(--[\w-]{{0,40}}{_NAME}\s+)(?!-)\S+", rf"\1{MASK}"),
        (_HINTS, rf"(<[\w:.-]{{0,40}}{_NAME}>)[^<]+", rf"\1{MASK}"),
        (("private key",), r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)", MASK),
        # keys with a format of their own: AWS, Prefect, GitHub, Slack, Google, JSON web tokens
        (("akia", "asia", "aroa", "aida"), r"\b(?-i:A(?:KIA|SIA|ROA|IDA)[A-Z0-9]{12,})\b", MASK),
        (("pnu_", "pnb_"), r"\bpn[ub]_[\w-]{8,}", MASK),
        (("gho_", "ghp_", "ghu_", "ghs_", "ghr_"), r"\bgh[opusr]_\w{20,}", MASK),
        (("xox", "aiza"), r"\bxox[a-z]-[\w-]{8,}|\bAIza[\w-]{30,}", MASK),
        (("hooks.slack.com",), r"(hooks\.slack\.com/services/)[\w/-]+", rf"\1{MASK}"),
        (("eyj",), r"\beyJ[\w-]{6,}\.[\w-]{4,}(?:\.[\w-]*)?", MASK),
    )
]
_ANY_HINT = re.compile("|".join(sorted({re.escape(hint) for hints, _, _ in _SHAPES for hint in hints})))
_IN_QUERY = re.compile(rf"{_NAME}=([^\s&;,\"'<>]+)", re.IGNORECASE)
_NO_SECRET = re.compile(
    r"user-agent|accept(-.*)?|referer|origin|host|connection|cache-control|pragma|sec-.*", re.IGNORECASE
)

_NAMES_OF_BLOCKS = {"ADCE_AWS_CREDENTIALS"}  # the value of this variable is the name of a Prefect block, not a secret
_ADDRESS = re.compile(r"(?:https?|s3|file)://[^\s@?]+")  # an address without userinfo and query

_WORD = re.compile(r"[a-z]*|[A-Z][a-z]*|v?\d*")  # a part of an address that is no secret by itself

_known: set[str] = set()


def masked(text: str) -> str:
    """The text with *** in place of everything that is a known secret or has the shape of one."""
    if _known:
        text = _by_value(frozenset(_known)).sub(MASK, text)
    lower = text.lower()
    if not _ANY_HINT.search(lower):  # one search: JSON documents have hundreds of thousands of texts, few with a hint
        return text
    for hints, shape, shown in _SHAPES:
        if any(hint in lower for hint in hints):
            text = shape.sub(shown, text)
    return text


def without_secrets(value: Any) -> Any:
    """A JSON value, with every text masked. The names of a mapping stay."""
    if isinstance(value, str):
        return masked(value)
    if isinstance(value, dict):
        return {name: without_secrets(inner) for name, inner in value.items()}
    return list(map(without_secrets, value)) if isinstance(value, list | tuple) else value


def masked_url(url: str) -> str:
    """Like `masked`, for a text that is one URL, perhaps malformed: a password with spaces is masked too."""
    return masked(re.sub(r"^([\w+.-]*://)?.*@", rf"\1{MASK}@", url, flags=re.DOTALL))


def is_harmless_header(name: str) -> bool:
    """May the value of the HTTP header be shown?"""
    return _NO_SECRET.fullmatch(name) is not None


def register(secrets: Iterable[str]) -> None:
    """Registers secret values, which are masked from now on, also when quoted or percent-encoded.

    Values of fewer than 6 characters are ignored.
    """
    for secret in secrets:
        for form in {secret, unquote(secret)}:
            if len(form.strip()) >= _SHORTEST:
                _known.update({form, quote(form, safe=""), quote(form), quote_plus(form)})
                _known.update({json.dumps(form)[1:-1], repr(form)[1:-1]})


def register_environment(env: Mapping[str, str], names: Iterable[str] = ()) -> None:
    """Registers the secrets of an environment.

    These are the values of variables whose names are those of secrets, the values of the variables in `names`, and the
    userinfo of URLs. A path of this machine is not a secret, and must stay readable in addresses, errors and logs.
    """
    for name, value in env.items():
        is_secret = re.search(_WORDS, name, re.IGNORECASE) and not (_PLACE.search(name) or name in _NAMES_OF_BLOCKS)
        if is_secret and not _are_paths(value):
            register([value])
        register(_in_text(value))
    given = [name for name in names if name in env and not name.startswith("ADCE_")]
    register(env[name] for name in given if not is_place(name, env[name]))


def is_place(name: str, value: str) -> bool:
    """Is a variable's value only a path or an address, and therefore not secret?"""
    return bool(_OF_PATHS.search(name) or _ADDRESS.fullmatch(value)) or _are_paths(value)


def is_secret_url(path: Sequence[str]) -> bool:
    """Is the setting at `path` a URL that is a secret as a whole, because whoever knows it may write there?"""
    return tuple(path) == ("alerts", "ping") or (len(path) == 4 and path[3] == "url" and [*path[:2]] == _TARGETS)


def register_url(url: str) -> None:
    """Registers a URL that is a secret as a whole, and its longer parts, since an error may show only one of them."""
    _, _, rest = url.strip().partition("://")
    register([url.strip(), rest] if rest else [url.strip()])
    host, _, path = rest.partition("/")
    parts = re.split(r"[/?&=#:@]", host.rpartition("@")[0] + "/" + path)
    register(part for part in parts if len(part) >= _LONG or not _WORD.fullmatch(part))
    if path.count("/"):  # a path of one word, as /alerts, is in many texts
        register([f"/{path}", f"/{path.partition('?')[0]}"])
    if not url.startswith("http"):  # in other URLs, as those of Apprise, what is in the host's place may be a secret
        register(part for part in re.split(r"[@:]", host) if len(part) >= _LONG)


def register_settings(settings: Any) -> None:
    """Registers the secrets of a configuration, valid or not.

    These are tokens, values of headers, the userinfo of URLs, and the URLs of those that are told.
    """
    _register_alerts(settings)
    if isinstance(settings, str):
        register(_in_text(settings))
    elif isinstance(settings, dict):
        for name, value in settings.items():
            if str(name).lower() == "headers":
                register(_in_headers(value))
            elif name == "token" and isinstance(value, str):
                register([value])
            register_settings(value)
    elif isinstance(settings, list | tuple):
        for value in settings:
            register_settings(value)


def _register_alerts(settings: Any) -> None:
    alerts = settings.get("alerts") if isinstance(settings, dict) else None
    if not isinstance(alerts, dict):
        return
    targets = alerts.get("targets")
    entries = targets.values() if isinstance(targets, dict) else ()
    for url in (alerts.get("ping"), *(entry.get("url") for entry in entries if isinstance(entry, dict))):
        if isinstance(url, str):
            register_url(url)


@contextmanager
def no_secret_in_errors() -> Iterator[None]:
    """A block that masks the text of an error that is raised in it, because Prefect stores the text in the run's state.

    The text is masked in the error itself and in its causes. If that is not possible, a RuntimeError with the masked
    text is raised instead.
    """
    try:
        yield
    except Exception as error:
        harmless = _without_secrets(error)
        if harmless is error:
            raise
        raise harmless from None


def _without_secrets(error: Exception) -> Exception:
    """The same error with masked arguments, or a RuntimeError if its text would still show a secret."""
    chain: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in chain:
        link.args = tuple(masked(part) if isinstance(part, str) else part for part in link.args)
        chain.append(link)
        link = link.__cause__ or link.__context__
    texts = [text for link in chain for text in (str(link), repr(link))]
    if all(masked(text) == text for text in texts):
        return error
    return RuntimeError(masked(f"{type(error).__name__}: {error}"))


def hide_in_output() -> None:
    """Masks secrets in this process's log lines and in its final traceback from now on. Further calls do nothing."""
    if logging.getLogRecordFactory() is not _Record:
        logging.setLogRecordFactory(_Record)
        sys.excepthook = _print_masked
        threading.excepthook = lambda raised: _print_masked(raised.exc_type, raised.exc_value, raised.exc_traceback)


class _Record(logging.LogRecord):
    """Log record whose message and traceback are masked. Its `args` are unchanged, for handlers that read them."""

    def __init__(self, *arguments: Any, **named: Any):
        super().__init__(*arguments, **named)
        if self.exc_info and self.exc_info[0] is not None:  # formatters use exc_text if it is set
            self.exc_text = masked("".join(traceback.format_exception(*self.exc_info)).rstrip())

    def getMessage(self) -> str:  # noqa: N802 (as logging calls it)
        return masked(super().getMessage())


def _print_masked(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    sys.stderr.write(masked("".join(traceback.format_exception(kind, error, trace))))


def _in_text(text: str) -> Iterator[str]:
    """The secrets in URLs and connection strings."""
    if found := re.search(r"://(?![^/:@]*(?::\d+)?/)(.+)@", text, re.DOTALL):  # an @ in a path does not count
        userinfo = found[1]
        yield userinfo
        yield userinfo.partition(":")[2]
        yield base64.b64encode(unquote(userinfo).encode()).decode()  # as HTTP basic authentication sends it
    yield from (value for value in _IN_QUERY.findall(text) if value != MASK)


def _in_headers(headers: Any) -> Iterator[str]:
    """The values of secret headers, whole and in parts. If `headers` is malformed, all texts in it."""
    if isinstance(headers, str):
        yield headers
        parts = re.split(r"[\s;,=]+", headers)
        yield from (part for part in parts if part.lower() not in _SCHEMES)
    elif isinstance(headers, dict):
        for name, value in headers.items():
            if not is_harmless_header(str(name)):
                yield from _in_headers(value)
    elif isinstance(headers, list | tuple):
        for value in headers:
            yield from _in_headers(value)
    elif headers is not None and not isinstance(headers, bool):
        yield str(headers)


def _are_paths(value: str) -> bool:
    """Is the value an absolute path of this machine, or several with colons between them, as in PATH?

    Each path, or the folder that contains it, must exist. So a secret that happens to begin with a slash is no path.
    """
    paths = [path for path in value.split(":") if path]
    return bool(paths) and all(map(_is_path, paths))


def _is_path(text: str) -> bool:
    folder = os.path.dirname(text.rstrip("/"))
    return os.path.isabs(text) and (os.path.exists(text) or (folder != "/" and os.path.isdir(folder)))


@lru_cache(maxsize=8)
def _by_value(secrets: frozenset[str]) -> re.Pattern[str]:
    """One pattern that matches every secret. Longer secrets come first, since one may begin with another."""
    return re.compile("|".join(map(_pattern_of, sorted(secrets, key=len, reverse=True))))


def _pattern_of(secret: str) -> str:
    """Pattern of one secret. A short one matches whole words only: the secret "season" does not match "seasons"."""
    if len(secret) >= _INSIDE_WORDS:
        return re.escape(secret)
    before = r"(?<![A-Za-z0-9])" if secret[0].isalnum() else ""
    after = r"(?![A-Za-z0-9])" if secret[-1].isalnum() else ""
    return f"{before}{re.escape(secret)}{after}"
