"""Is everything in the wheel that ADCE needs where it is installed, and nothing else?"""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"][
    "packages"
]
Installed = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the wheel is unpacked."""
    built, unpacked = tmp_path_factory.mktemp("wheel"), tmp_path_factory.mktemp("unpacked")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(built)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    [file] = built.iterdir()
    with zipfile.ZipFile(file) as archive:
        archive.extractall(unpacked)
    return unpacked


@pytest.fixture
def installed(wheel: Path, tmp_path: Path) -> Installed:
    """Runs Python with the wheel's packages in place of those of the checkout, in an empty folder."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("ADCE_", "PREFECT_"))}
        environment |= {"PYTHONPATH": str(wheel), "PREFECT_HOME": str(tmp_path)}
        command = [sys.executable, "-W", "ignore", *arguments]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    return run


def test_the_wheel_has_every_file_of_its_packages_but_the_sandbox(wheel: Path) -> None:
    def files(root: Path) -> set[str]:
        found = {path.relative_to(root).as_posix() for name in PACKAGES for path in (root / name).rglob("*")}
        return {name for name in found if (root / name).is_file() and "__pycache__" not in name}

    sandbox = {name for name in files(ROOT) if name.startswith("deployments/sandbox/")}
    assert len(sandbox) > 10
    assert files(wheel) == files(ROOT) - sandbox


@pytest.mark.parametrize("command", ["reconcile", "up"])
def test_the_sandbox_is_refused_in_one_line_where_it_is_not_installed(
    installed: Installed, tmp_path: Path, command: str
) -> None:
    done = installed("-m", "deployments", command, "--sandbox")
    assert (done.returncode, done.stdout, done.stderr) == (
        2,
        "",
        "adce: --sandbox: the sandbox is in a source checkout of ADCE only, and this is an installed package; clone "
        "the repository and run `make run` there\n",
    )
    assert list(tmp_path.iterdir()) == []


def test_no_module_of_the_wheel_needs_the_sandbox_to_be_imported(installed: Installed, wheel: Path) -> None:
    names = [path.relative_to(wheel).with_suffix("") for name in PACKAGES for path in (wheel / name).rglob("*.py")]
    modules = [".".join(name.parts) for name in names if "migrations" not in name.parts]
    assert len(modules) > 100
    done = installed("-c", "import importlib, sys; [importlib.import_module(name) for name in sys.argv[1:]]", *modules)
    assert (done.returncode, done.stderr) == (0, "")
