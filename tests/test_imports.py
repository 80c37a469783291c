"""Imports point one way: flows → tasks, blocks → tasks.domain → config; deployments on top."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OURS = {"config", "tasks", "blocks", "flows", "deployments", "tests"}
ALLOWED = {
    "config": ("config",),
    "tasks/domain": ("config.models", "config.secrets", "tasks.domain"),
    "tasks/sources": ("config.models", "tasks.domain", "tasks.sources"),
    "blocks": ("config.models", "config.secrets", "tasks.domain", "blocks"),
    "tasks": ("config", "tasks", "blocks"),
    "flows": ("config", "tasks", "blocks", "flows"),
    "deployments": ("config", "tasks", "blocks", "flows", "deployments"),
}


def _imports(file: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("folder", ALLOWED)
def test_a_folder_imports_only_what_lies_below_it(folder: str) -> None:
    inner = [name for name in ALLOWED if name.startswith(folder + "/")]
    for file in (ROOT / folder).rglob("*.py"):
        path = file.relative_to(ROOT).as_posix()
        if any(path.startswith(name + "/") for name in inner):
            continue
        ours = {name for name in _imports(file) if name.split(".")[0] in OURS}
        wrong = {n for n in ours if not any(n == a or n.startswith(a + ".") for a in ALLOWED[folder])}
        assert not wrong, f"{path} imports {wrong}"


def test_the_pure_core_needs_nothing_but_the_standard_library() -> None:
    for file in (ROOT / "tasks/domain").glob("*.py"):
        outside = {name.split(".")[0] for name in _imports(file)} - sys.stdlib_module_names - {"config", "tasks"}
        assert not outside, f"{file.name} imports {outside}"


def test_importing_the_pure_core_imports_neither_prefect_nor_the_database() -> None:
    code = "import sys, tasks.domain.plan.plan; print({'prefect', 'sqlalchemy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "set()"
