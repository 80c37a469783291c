"""Does the README, and every page that it leads to, name only what is there? Do its commands work?"""

import os
import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from config.load import load_config
from deployments.cli import app

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
CONTRIBUTING = ROOT / "CONTRIBUTING.md"
FOLDERS = ("config", "tasks", "blocks", "flows", "deployments", "tests")
PAGES = [README, CONTRIBUTING, *(page for folder in FOLDERS for page in sorted((ROOT / folder).rglob("*.md")))]
LINK = re.compile(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)")
ANCHOR = re.compile(r"\]\((?!https?:)([^)#]+)#([^)]+)\)")


def _names(pages: list[Path]) -> list[str]:
    return [page.relative_to(ROOT).as_posix() for page in pages]


def _yaml(page: Path) -> list[str]:
    return re.findall(r"^```yaml\n(.*?)^```", page.read_text(), re.S | re.M)


def test_each_path_in_the_tables_of_where_things_live_exists() -> None:
    section = CONTRIBUTING.read_text().partition("\n## Where things live\n")[2]
    paths = [path for row in re.findall(r"^\|.*`.*\|$", section, re.M) for path in re.findall(r"`([\w./-]+)`", row)]
    assert len(paths) > 30
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_each_folder_of_the_project_has_a_row() -> None:
    section = CONTRIBUTING.read_text().partition("\n## Where things live\n")[2]
    packages = {f"tasks/{child.name}/" for child in (ROOT / "tasks").iterdir() if (child / "__init__.py").is_file()}
    folders = packages | {f"{folder}/" for folder in FOLDERS if folder != "tasks"}
    assert [folder for folder in sorted(folders) if f"`{folder}`" not in section] == []


@pytest.mark.parametrize("page", PAGES, ids=_names(PAGES))
def test_each_link_to_a_file_leads_to_one(page: Path) -> None:
    assert [link for link in LINK.findall(page.read_text()) if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=_names(PAGES))
def test_each_link_to_a_section_leads_to_one(page: Path) -> None:
    for file, section in ANCHOR.findall(page.read_text()):
        headings = re.findall(r"^#+ (.*)$", (page.parent / file).read_text(), re.M)
        assert section in {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


def test_each_page_is_linked_from_the_readme() -> None:
    linked = {(ROOT / link).resolve() for link in LINK.findall(README.read_text())}
    assert [page for page in PAGES if page != README and page not in linked] == []


def test_the_dataset_of_the_readme_is_valid_and_only_an_entry(tmp_path: Path) -> None:
    (example,) = _yaml(README)
    (tmp_path / "my.yaml").write_text(example)
    config = load_config(tmp_path / "my.yaml", env={})
    assert config.datasets.keys() - load_config(env={}).datasets.keys() == {"nba_boxscore_usage"}


def test_the_command_that_begins_a_lake_works_as_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begin = re.findall(r"^adce init .*in a script: (adce .*)$", README.read_text(), re.M)
    (arguments,) = [shlex.split(line)[1:] for line in begin]
    monkeypatch.chdir(tmp_path)
    for name in ("ADCE_CONFIG", "ADCE_LAKE", "ADCE_LEDGER"):
        monkeypatch.delenv(name, raising=False)
    environment = dict(os.environ)
    try:
        for typed in (arguments, ["plan"], ["config", "show", "collect"]):
            result = CliRunner().invoke(app, typed)
            assert result.exit_code == 0, result.output
    finally:
        os.environ.clear()
        os.environ.update(environment)
    assert "since: 2024-25" in result.stdout


def test_the_collection_of_the_page_on_configuration_is_valid(tmp_path: Path) -> None:
    (example,) = [text for text in _yaml(ROOT / "config/README.md") if text.startswith("collect:")]
    (tmp_path / "my.yaml").write_text(example)
    assert load_config(tmp_path / "my.yaml", env={}).collect.since == "2015-16"
