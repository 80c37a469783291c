"""Imports point one way, without a circle, and the core, the answers and the work of a run load no Prefect.

deployments → flows → run → (upstream, observe); deployments, flows → (show, publish) → answers → observe;
all → (ledger, sources, blocks) → domain → config. Within deployments: (cli, up) → setup → prefect_api.
"""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OURS = {"config", "tasks", "blocks", "flows", "deployments", "tests"}
LEDGER = ("config.models", "config.secrets", "tasks.domain", "tasks.ledger", "tasks.clock", "tasks.processes")
BELOW = (
    *("config", "tasks.domain", "tasks.sources", "tasks.ledger"),
    *("tasks.clock", "tasks.daemon_threads", "tasks.log_lines", "tasks.many_objects"),
    *("tasks.progress", "tasks.processes"),
)
ALLOWED = {
    "config": ("config",),
    "tasks/domain": ("config.models", "config.names", "config.secrets", "tasks.domain"),
    "tasks/sources": ("config.models", "tasks.domain", "tasks.sources"),
    "tasks/ledger": LEDGER,
    "blocks": ("config.models", "config.secrets", "tasks.daemon_threads", "tasks.domain", "blocks"),
    "tasks/observe": (*BELOW, "blocks", "tasks.observe"),
    "tasks/upstream": (*BELOW, "tasks.upstream"),
    "tasks/run": (*BELOW, "blocks", "tasks.observe", "tasks.upstream", "tasks.run"),
    "tasks/answers": (*BELOW, "blocks", "tasks.observe", "tasks.answers"),
    "tasks/show": (*BELOW, "tasks.answers", "tasks.show"),
    "tasks/publish": (*BELOW, "blocks", "tasks.observe", "tasks.answers", "tasks.publish"),
    "tasks": ("config", "tasks.clock", "tasks.domain.wording"),
    "flows": ("config", "tasks", "blocks", "flows"),
    "deployments/prefect_api": (*BELOW, "tasks.upstream", "deployments.prefect_api", "deployments.prefect_yaml"),
    "deployments": ("config", "tasks", "blocks", "flows", "deployments"),
}
MODULES = {
    ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): file
    for folder in ("config", "tasks", "blocks", "flows", "deployments")
    for file in (ROOT / folder).rglob("*.py")
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


def test_the_models_of_the_configuration_are_imported_by_their_package() -> None:
    inner = tuple(f"{module}." for module in MODULES if module.startswith("config.models."))
    assert len(inner) > 5
    files = [file for module, file in MODULES.items() if not module.startswith("config.models")]
    assert [file for file in files if any(name.startswith(inner) for name in _imports(file))] == []


def test_the_pure_core_needs_nothing_but_the_standard_library() -> None:
    for file in (ROOT / "tasks/domain").rglob("*.py"):
        outside = {name.split(".")[0] for name in _imports(file)} - sys.stdlib_module_names - {"config", "tasks"}
        assert not outside, f"{file.name} imports {outside}"


def test_the_assessment_does_not_depend_on_the_plan() -> None:
    files = (ROOT / "tasks/domain/assess").rglob("*.py")
    assert [file for file in files if any(name.startswith("tasks.domain.plan.") for name in _imports(file))] == []


def test_no_module_imports_itself_through_others() -> None:
    """Imports for the type checker only, and imports within functions, count too."""
    remaining = {module: _modules_of(file) - {module} for module, file in MODULES.items()}
    while done := {module for module, needs in remaining.items() if not needs & remaining.keys()}:
        remaining = {module: needs for module, needs in remaining.items() if module not in done}
    assert not remaining, "modules of a circle, and modules that import them"


def _modules_of(file: Path) -> set[str]:
    found = _imports(file)
    return {name if name in MODULES else name.rpartition(".")[0] for name in found} & MODULES.keys()


@pytest.mark.parametrize(
    ("module", "not_needed"),
    [
        ("tasks.domain.plan.plan", {"prefect", "sqlalchemy", "httpx"}),
        ("deployments.cli", {"prefect", "sqlalchemy", "httpx"}),
        ("tasks.answers.why", {"prefect", "httpx"}),
        ("tasks.answers.plan", {"prefect", "httpx"}),
        ("deployments.serve.server", {"prefect"}),
        ("tasks.publish.sending", {"prefect", "httpx"}),
        ("tasks.run.dispatcher", {"prefect"}),
        ("tasks.run.fill", {"prefect"}),
    ],
)
def test_what_needs_no_prefect_does_not_load_it(module: str, not_needed: set[str]) -> None:
    code = f"import sys, {module}; print({not_needed} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "set()"
