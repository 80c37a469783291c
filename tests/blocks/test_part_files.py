"""Which files that were being written are abandoned?"""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from blocks.part_files import part_file, remove_abandoned


def _killed_while_writing(path: Path) -> None:
    """A process that is killed after it has given a file its final name, and before it removes the temporary one."""
    code = (
        "import os, sys; from pathlib import Path; from blocks.part_files import part_file\n"
        "path = Path(sys.argv[1])\n"
        "with part_file(path, b'whole') as part:\n"
        "    path.hardlink_to(part)\n"
        "    os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(path)], check=False).returncode == -9


def _made_long_ago(folder: Path) -> None:
    for path in folder.rglob(".adce#*"):
        os.utime(path, (time.time() - 60, time.time() - 60))


def test_what_a_killed_writer_has_left_is_removed_and_its_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "espn" / "2025" / "1.json"
    path.parent.mkdir(parents=True)
    _killed_while_writing(path)
    assert len(list(tmp_path.rglob(".adce#*"))) == 1
    assert remove_abandoned(tmp_path) == 0, "its writer may not have locked it yet"
    _made_long_ago(tmp_path)
    assert remove_abandoned(tmp_path) == 1
    assert [found for found in tmp_path.rglob("*") if found.is_file()] == [path]
    assert path.read_bytes() == b"whole"


def test_a_file_that_is_being_written_and_files_of_others_stay(tmp_path: Path) -> None:
    (tmp_path / ".adce-probe").write_bytes(b"")
    with part_file(tmp_path / "1.json", b"whole") as part:
        _made_long_ago(tmp_path)
        assert remove_abandoned(tmp_path) == 0
        assert part.read_bytes() == b"whole"
    assert [found.name for found in tmp_path.iterdir()] == [".adce-probe"]


def test_a_part_file_is_gone_also_if_writing_it_fails(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="full"), part_file(tmp_path / "1.json", b"half"):
        raise ValueError("full")
    assert list(tmp_path.iterdir()) == []
    assert remove_abandoned(tmp_path / "none") == 0
