"""Do the tests of the core load no Prefect, and is there a file of tests for each module?"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
NOT_NEEDED = ("prefect", "prefect_aws", "moto", "boto3", "sqlalchemy", "obstore", "httpx", "typer", "starlette")


def test_the_tests_of_the_core_load_neither_prefect_nor_any_other_outer_thing() -> None:
    code = (
        "import sys, pytest\n"
        "code = pytest.main(['tests/domain', '--collect-only', '-qq', '-p', 'no:cacheprovider'])\n"
        f"print('loaded:', code, sorted(set({NOT_NEEDED}) & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.stdout.splitlines()[-1:] == ["loaded: 0 []"], done.stdout + done.stderr


def test_each_module_of_the_core_has_a_file_of_tests_and_each_file_a_module() -> None:
    modules = {file.stem for file in (ROOT / "tasks/domain").rglob("*.py")} - {"__init__"}
    tested = {file.stem.removeprefix("test_") for file in (ROOT / "tests/domain").rglob("test_*.py")}
    assert modules - tested == set()
    strays = {name for name in tested if not any(name == of or name.startswith(f"{of}_") for of in modules)}
    assert strays == set()
