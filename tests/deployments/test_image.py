"""Is the image built of what the project is, and does its process hear a signal?"""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def test_the_image_is_built_of_every_package_of_the_wheel_and_without_the_sandbox() -> None:
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"][
        "packages"
    ]
    assert re.findall(r"^COPY (\w+) \1$", DOCKERFILE, re.MULTILINE) == packages
    ignored = (ROOT / ".dockerignore").read_text()
    assert re.findall(r"^!(\w+)$", ignored, re.MULTILINE) == packages
    assert "\ndeployments/sandbox\n" in ignored


def test_the_image_is_built_by_the_uv_of_the_makefile() -> None:
    (version,) = re.findall(r"^ARG UV_VERSION=(.+)$", DOCKERFILE, re.MULTILINE)
    assert f"UV_VERSION = {version}\n" in (ROOT / "Makefile").read_text()


def test_the_image_leaves_root_and_its_process_hears_signals() -> None:
    """A shell around the process, or an entry point before an ECS task's command, would keep a SIGTERM to itself."""
    last_stage = DOCKERFILE.rpartition("\nFROM ")[2]
    assert re.findall(r"^USER (.+)$", last_stage, re.MULTILINE) == ["10001:10001"]
    assert re.search(r'^CMD \["prefect", "worker", "start", ', last_stage, re.MULTILINE)
    assert "ENTRYPOINT" not in DOCKERFILE
