"""Is what a command prints free of secrets?"""

import json

import pytest

from config import secrets
from deployments.cli.layout import say
from deployments.cli.output import print_json

SECRET = "hunter2-Zq8x"


def test_a_secret_is_printed_neither_in_a_line_nor_anywhere_in_a_document(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(secrets, "_known", {SECRET})
    print_json({"runs": [{"message": f"refused: {SECRET}", "count": 3}]})
    assert json.loads(capsys.readouterr().out) == {"runs": [{"message": "refused: ***", "count": 3}]}
    say(f"run a [{SECRET}]")
    assert capsys.readouterr().out == "run a [***]\n"
