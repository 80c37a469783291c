"""What in a text is secret, and how does it read without that?

Every text of an error passes through `masked`, and so does every line of a log after `hide_in_output`. What is secret
is told by its shape (the userinfo of a URL, password=…, Bearer …, a signature) and by its value, for the values that
the configuration and the environment are known to hold (`learn`).
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
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from types import TracebackType
from typing import Any
from urllib.parse import quote, quote_plus, unquote

MASK = "***"
_SHORTEST = 6  # characters of a value that is masked wherever it stands; "test" is a word of many texts
_ALONE = 12  # a value of so many characters or more is masked within a longer word too

# The name of a secret has one of these words in it.
_WORDS = (
    r"password|passwd|passphrase|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|signature|credential"
    r"|authorization|cookie|session[_-]?id|connection[_-]?string|(?<![a-z])(?:auth|sig|pass)(?![a-z])"
)
_NAME = rf"(?:{_WORDS})[\w.-]{{0,40}}"
_HEADER = rf"(?:proxy-)?authorization|(?:set-)?cookie|x-[\w-]{{0,40}}(?:{_WORDS})[\w-]{{0,20}}"
# The name of a variable that tells where something is, PWD being the folder that a shell is in; or which it is.
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
# Each shape with hints in lower case: a text in which none of them stands cannot have the shape, and is not searched.
_SHAPES = [
    (hints, re.compile(pattern, re.IGNORECASE | re.DOTALL), shown)
    for hints, pattern, shown in (
        # user:password@ and token@ of a URL, wherever it stands; also percent-encoded, as within another URL
        # but for a file's, which has none
        (("@",), r"(?<!file)(?<!sqlite)(://)[^\s\"'<>]{1,2000}@", rf"\1{MASK}@"),
        (("%40",), r"(%3A%2F%2F)[^\s\"'<>&]{1,2000}%40", rf"\1{MASK}%40"),
        (("@",), r"(?<![\w/*])[^\s\"'<>:/@=,;(]{1,100}:[^\s\"'<>/@*]{1,200}@(?=[\w\[])", f"{MASK}@"),
        # a header's line, and the credentials of one wherever they stand
        (_HINTS, rf"(?<![\w.-])({_HEADER}):[^\n]+", rf"\1: {MASK}"),
        (("bearer",), r"\b(bearer)\s+[^\s\"'<>,;\]})]{4,}", rf"\1 {MASK}"),
        (_SCHEMES, r"\b(basic|token|digest|negotiate)\s+(?=[^\s\"']*\d)[\w.~+/=-]{8,}", rf"\1 {MASK}"),
        # name=value in a query, a connection string or an environment; "name": "value" in JSON; an option; XML
        (_HINTS, rf"({_NAME}(?:=|%3D)\s*)(\\*[\"'])(?:.+?)\2", rf"\1\2{MASK}\2"),
        (_HINTS, rf"({_NAME}(?:=|%3D))(?:[^\s&;,\"'<>)\]}}%:]|%(?!26)|:(?=\S))+", rf"\1{MASK}"),
        (_HINTS, rf"({_NAME}\\*[\"']\s*:\s*[\[(]?\s*)(\\*[\"'])(?:.+?)\2", rf"\1\2{MASK}\2"),
        (_HINTS, rf"(--[\w-]{{0,40}}{_NAME}\s+)(?!-)\S+", rf"\1{MASK}"),
        (_HINTS, rf"(<[\w:.-]{{0,40}}{_NAME}>)[^<]+", rf"\1{MASK}"),
        (("private key",), r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)", MASK),
        # what makers of keys have given a shape of its own: AWS, Prefect, GitHub, Slack, Google, JSON web tokens
        (("akia", "asia", "aroa", "aida"), r"\b(?-i:A(?:KIA|SIA|ROA|IDA)[A-Z0-9]{12,})\b", MASK),
        (("pnu_", "pnb_"), r"\bpn[ub]_[\w-]{8,}", MASK),
        (("gho_", "ghp_", "ghu_", "ghs_", "ghr_"), r"\bgh[opusr]_\w{20,}", MASK),
        (("xox", "aiza"), r"\bxox[a-z]-[\w-]{8,}|\bAIza[\w-]{30,}", MASK),
        (("hooks.slack.com",), r"(hooks\.slack\.com/services/)[\w/-]+", rf"\1{MASK}"),
        (("eyj",), r"\beyJ[\w-]{6,}\.[\w-]{4,}(?:\.[\w-]*)?", MASK),
    )
]
_IN_QUERY = re.compile(rf"{_NAME}=([^\s&;,\"'<>]+)", re.IGNORECASE)
_NO_SECRET = re.compile(
    r"user-agent|accept(-.*)?|referer|origin|host|connection|cache-control|pragma|sec-.*", re.IGNORECASE
)

_NAMES_OF_BLOCKS = {"ADCE_AWS_CREDENTIALS"}  # what Prefect calls the block that holds them
_ADDRESS = re.compile(r"(?:https?|s3|file)://[^\s@?]+")  # nothing but a place

_known: set[str] = set()


def masked(text: str) -> str:
    """The text with *** in place of everything in it that is a secret, or looks like one."""
    if _known:
        text = _by_value(frozenset(_known)).sub(MASK, text)
    lower = text.lower()
    for hints, shape, shown in _SHAPES:
        if any(hint in lower for hint in hints):
            text = shape.sub(shown, text)
    return text


def masked_url(url: str) -> str:
    """The same of a text that is all one URL, or is to be one: also of a password with spaces in it."""
    return masked(re.sub(r"^([\w+.-]*://)?.*@", rf"\1{MASK}@", url, flags=re.DOTALL))


def is_harmless_header(name: str) -> bool:
    """May its value be shown?"""
    return _NO_SECRET.fullmatch(name) is not None


def learn(secrets: Iterable[str]) -> None:
    """From now on these values are masked wherever they stand, however they are written. Short ones are not learnt."""
    for secret in secrets:
        for form in {secret, unquote(secret)}:
            if len(form.strip()) >= _SHORTEST:
                _known.update({form, quote(form, safe=""), quote(form), quote_plus(form)})
                _known.update({json.dumps(form)[1:-1], repr(form)[1:-1]})


def learn_from_environment(env: Mapping[str, str], names: Iterable[str] = ()) -> None:
    """Learns the values of variables whose names tell of a secret, of those in `names`, and the userinfo of URLs.

    A path of this machine is none: it would be hidden in every address, error and log.
    """
    for name, value in env.items():
        is_secret = re.search(_WORDS, name, re.IGNORECASE) and not (_PLACE.search(name) or name in _NAMES_OF_BLOCKS)
        if is_secret and not _are_paths(value):
            learn([value])
        learn(_in_text(value))
    given = [name for name in names if name in env and not name.startswith("ADCE_")]
    learn(env[name] for name in given if not tells_a_place(name, env[name]))


def tells_a_place(name: str, value: str) -> bool:
    """Is a variable that a command is given no secret, since it only tells where something is?"""
    return bool(_OF_PATHS.search(name) or _ADDRESS.fullmatch(value)) or _are_paths(value)


def learn_from_settings(settings: Any) -> None:
    """Learns what is secret in a configuration as it was read, right or wrong: headers, and the userinfo of URLs."""
    if isinstance(settings, str):
        learn(_in_text(settings))
    elif isinstance(settings, dict):
        for name, value in settings.items():
            if str(name).lower() == "headers":
                learn(_in_headers(value))
            learn_from_settings(value)
    elif isinstance(settings, list | tuple):
        for value in settings:
            learn_from_settings(value)


@contextmanager
def no_secret_in_errors() -> Iterator[None]:
    """An error that leaves this block has no secret in its text: Prefect writes that into the run's state.

    An error is masked in place, and what it was raised from; where that cannot be done, another one says the same.
    """
    try:
        yield
    except Exception as error:
        told = _without_secrets(error)
        if told is error:
            raise
        raise told from None


def _without_secrets(error: Exception) -> Exception:
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
    """From now on no secret is in a line of this process's logs, nor in a traceback that it ends with. Repeatable."""
    if logging.getLogRecordFactory() is not _Record:
        logging.setLogRecordFactory(_Record)
        sys.excepthook = _print_masked
        threading.excepthook = lambda told: _print_masked(told.exc_type, told.exc_value, told.exc_traceback)


class _Record(logging.LogRecord):
    """A line of a log. Its arguments stay as they are, for the handlers that want them one by one."""

    def __init__(self, *arguments: Any, **named: Any):
        super().__init__(*arguments, **named)
        if self.exc_info and self.exc_info[0] is not None:  # formatters take what is there already
            self.exc_text = masked("".join(traceback.format_exception(*self.exc_info)).rstrip())

    def getMessage(self) -> str:  # noqa: N802 (as logging calls it)
        return masked(super().getMessage())


def _print_masked(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    sys.stderr.write(masked("".join(traceback.format_exception(kind, error, trace))))


def _in_text(text: str) -> Iterator[str]:
    """The secrets of URLs and connection strings."""
    if found := re.search(r"://(?![^/:@]*(?::\d+)?/)(.+)@", text, re.DOTALL):  # not of an @ in a path
        userinfo = found[1]
        yield userinfo
        yield userinfo.partition(":")[2]
        yield base64.b64encode(unquote(userinfo).encode()).decode()  # as it is sent
    yield from (value for value in _IN_QUERY.findall(text) if value != MASK)


def _in_headers(headers: Any) -> Iterator[str]:
    """The values of headers that hold a secret, whole and in their parts; of what are no headers, every text."""
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
    """Is it an absolute path of this machine, or several with colons between them, as in PATH?

    Each is there, or the folder that it would be in is. A key that happens to begin with a slash is no such path.
    """
    paths = [path for path in value.split(":") if path]
    return bool(paths) and all(map(_is_path, paths))


def _is_path(text: str) -> bool:
    folder = os.path.dirname(text.rstrip("/"))
    return os.path.isabs(text) and (os.path.exists(text) or (folder != "/" and os.path.isdir(folder)))


@lru_cache(maxsize=8)
def _by_value(secrets: frozenset[str]) -> re.Pattern[str]:
    """One expression for all values, the longest first."""
    return re.compile("|".join(map(_alone, sorted(secrets, key=len, reverse=True))))


def _alone(secret: str) -> str:
    """A short value counts where it is a word of its own: "season" is no secret in "seasons"."""
    if len(secret) >= _ALONE:
        return re.escape(secret)
    before = r"(?<![A-Za-z0-9])" if secret[0].isalnum() else ""
    after = r"(?![A-Za-z0-9])" if secret[-1].isalnum() else ""
    return f"{before}{re.escape(secret)}{after}"
