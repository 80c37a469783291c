"""Which settings does a sandbox have? They are in a file, so that every command that names it finds the same lake."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from deployments.cli.typed import near
from tasks.domain.errors import AdceError

_HEAD = """\
# The sandbox's settings. To look at its lake of invented games: adce plan {options}
# To fetch from the stand-in for the sites: adce reconcile --sandbox {options}
# `{maker}` writes this file again each time.
"""


def write_settings(file: Path, settings: Mapping[str, Any], maker: str, scope: Iterable[str] = ()) -> None:
    """Writes the settings of a sandbox to a file, whose folder is made if it is not there. Raises AdceError.

    `scope` are the options with which commands look only at the files that the lake is made for.
    """
    body = yaml.safe_dump({"sandbox": True, **settings}, sort_keys=False)
    options = shlex.join(["--config", near(file.absolute()), *scope])
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(_HEAD.format(options=options, maker=maker) + body, encoding="utf-8")
    except OSError as error:
        raise AdceError(f"{file}: cannot be written: {error.strerror}") from None


def as_variables(settings: Mapping[str, Any], *path: str) -> Iterator[tuple[str, str]]:
    """The environment variables that set the same, and override any file."""
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from as_variables(value, *path, name)
        else:
            text = value if isinstance(value, str) else yaml.safe_dump(value, default_flow_style=True).strip()
            yield f"ADCE_{'__'.join((*path, name))}".upper(), text
