"""Programs and scripts that fill datasets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import PurePath
from typing import Annotated, Literal

from pydantic import Field, model_validator

from config.models.base import Model, PositiveDuration, WholeNumber, check_expression, check_season, matching
from config.models.templates import FIELDS, template_fields

# Fields that a command line may name besides its parameters and the partition's fields.
COMMAND_FIELDS = {"python", "script", "out", "base_url"}


class Parameter(Model):
    """The values that a parameter of a command line may have.

    Its value is `value`, if that is set, and else the partition's field of the same name.
    """

    type: Literal["int", "date", "season", "text", "choice"]
    value: str | WholeNumber | None = None
    pattern: str = Field(default="", description="of a text: a regular expression that matches it as a whole")
    choices: list[str] = []

    @model_validator(mode="after")
    def _says_what_it_allows(self) -> Parameter:
        if (self.type == "text") != bool(self.pattern) or (self.type == "choice") != bool(self.choices):
            raise ValueError("a text needs a pattern, a choice needs choices, and nothing else has them")
        check_expression(self.pattern)
        if self.value is not None and (problem := self.problem(str(self.value))):
            raise ValueError(problem)
        return self

    def problem(self, text: str) -> str | None:
        """Why the value is not allowed, or None if it is."""
        if not text or not text.isprintable():
            return f"{text!r} is empty, or has characters that cannot be printed"
        try:
            if self.type == "int":
                right = re.fullmatch(r"-?[0-9]{1,18}", text) is not None
            elif self.type == "date":
                right = date.fromisoformat(text).isoformat() == text
            elif self.type == "season":
                right = check_season(text) == text
            else:
                right = text in self.choices or (bool(self.pattern) and re.fullmatch(self.pattern, text) is not None)
        except ValueError:
            right = False
        allowed = self.pattern or " or ".join(self.choices)
        return None if right else f"{text!r} is not a valid {self.type}" + (f": {allowed}" if allowed else "")


class Command(Model):
    """A program that fills a dataset. It runs without a shell and writes its files to a folder of its own."""

    argv: list[str] = Field(min_length=1, description="the arguments, the program first; each is a template")
    files: list[str] = Field(
        min_length=1, description="templates of the files that it writes: one for all keys, or one for each key"
    )
    script: str | None = Field(
        default=None, description="path that {script} stands for; set automatically for a script in scripts.folders"
    )
    parameters: dict[str, Parameter] = {}
    environment: list[
        Annotated[
            str, matching(r"[A-Za-z_][A-Za-z0-9_]*", "not the name of a variable; write it as API_KEY, without a value")
        ]
    ] = Field(default=[], description="environment variables that it receives besides PATH, LANG, HOME and TMPDIR")
    cwd: str | None = Field(
        default=None, description="working directory, if not the folder for its files; argv then names {out}"
    )
    requests: WholeNumber = Field(
        default=1, ge=1, le=1000, description="largest number of requests that it sends to the source"
    )
    timeout: PositiveDuration = timedelta(minutes=5)

    @model_validator(mode="after")
    def _is_a_command_line(self) -> Command:
        used = template_fields(" ".join(self.argv))
        if template_fields(self.argv[0]) - {"python", "script"}:
            raise ValueError("argv: its first part, the program, must be fixed text, {python} or {script}")
        if "script" in used and self.script is None:
            raise ValueError("argv names {script}, but no script is given: set script, or see scripts.folders")
        if self.cwd is not None and "out" not in used:
            raise ValueError("with cwd, argv must name {out}, the folder for its files")
        for name, parameter in self.parameters.items():
            if name not in used:
                raise ValueError(f"parameters: {name} is not in argv")
            if parameter.value is not None and (problem := self.problem(name, str(parameter.value))):
                raise ValueError(f"parameters: {name}: {problem}")
        return self

    @property
    def fixed(self) -> dict[str, str]:
        """The parameters that have a value of their own, which is the same for every partition."""
        return {name: str(p.value) for name, p in self.parameters.items() if p.value is not None}

    @property
    def line(self) -> str:
        """The command line to show to people, a template of the partition's fields. It is the same on every host."""
        shown = {name: f"{{{name}}}" for fields in FIELDS.values() for name in fields}
        for name, text in {"python": "python", "script": PurePath(self.script or "").name, **self.fixed}.items():
            shown[name] = _escaped(text)
        return _escaped(" ".join(self.argv), "{{", "}}").format_map(shown | {"out": ".", "base_url": "BASE_URL"})

    def problem(self, name: str, text: str) -> str | None:
        """Why the value may not be put into the command line, or None if it may."""
        if text.startswith("-") and any(part.startswith(f"{{{name}}}") for part in self.argv):
            return f"{text!r} would be taken for an option; write --{name}={{{name}}}"
        return self.parameters[name].problem(text) if name in self.parameters else None

    def unfit(self, fields: Mapping[str, str]) -> tuple[str, str] | None:
        """The first field of a partition whose value may not be put into the command line, and why; None if all may."""
        problems = ((name, self.problem(name, value)) for name, value in fields.items())
        return next(((name, problem) for name, problem in problems if problem), None)


def _escaped(text: str, *braces: str) -> str:
    """A template that formats to the text itself: every brace is doubled."""
    for brace in braces or ("{", "}"):
        text = text.replace(brace, 2 * brace)
    return text


class Scripts(Model):
    """Folders of the scripts that fill datasets, and the pattern of their file names."""

    folders: list[str] = []
    pattern: Annotated[
        str,
        matching(
            r"[^*/]*\*[^*/]*", "must be a file name with one *, which stands for the dataset, such as scrape_*.py"
        ),
    ] = Field(default="scrape_*.py", description="pattern of a file name; the * stands for the dataset")
