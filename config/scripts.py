"""Which scripts fill datasets? Those in the folders that the configuration names."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

from pydantic import ValidationError

from config.layers import ConfigError, Layer, merge, merged, origin_of, read
from config.models import Scripts

log = logging.getLogger(__name__)


def found_scripts(layers: Sequence[Layer]) -> Iterator[Layer]:
    """A layer for each script in the configured folders. The script scrape_x.py fills the dataset x.

    The settings of the dataset are in the file scrape_x.yaml beside the script, or among those of the other datasets.
    A script without settings is ignored, with a warning, and so are settings without a script. Raises ConfigError for a
    folder that does not exist, and for two scripts that fill the same dataset.
    """
    settings = merged(layers)
    try:
        scripts = Scripts.model_validate(settings.get("scripts") or {})
    except ValidationError:  # load_config reports this mistake together with all others
        return
    owner: dict[str, Path] = {}
    begin, end = scripts.pattern.split("*")
    for folder in map(Path, scripts.folders):
        if not folder.is_dir():
            parent, name = (folder.parent, folder.name) if folder.is_absolute() else (Path.cwd(), folder)
            where = f"{origin_of(('scripts', 'folders'), layers)}: scripts.folders"
            raise ConfigError([f"{where}: no folder {str(name)!r} in {parent}"])
        paths = sorted(path for path in folder.glob(scripts.pattern) if path.suffix != ".yaml")
        if begin:  # without it, any other YAML file may be in the folder
            for alone in sorted({*folder.glob(f"{begin}*.yaml")} - {path.with_suffix(".yaml") for path in paths}):
                _warn_of_settings(alone, scripts.pattern)
        for script in paths:
            name = script.name.removeprefix(begin).removesuffix(end)
            beside = script.with_suffix(".yaml")
            if not beside.exists() and name not in (settings.get("datasets") or {}):
                _warn_of_script(script, name)
                continue
            if name in owner:
                raise ConfigError([f"{script}: fills {name}, and so does {owner[name]}; rename one of them"])
            owner[name] = script
            entry = read(beside) if beside.exists() else {}
            command = {"command": {"script": str(script.absolute())}}
            yield Layer(str(beside if entry else script), {"datasets": {name: merge(command, entry)}})


@cache
def _warn_of_settings(file: Path, pattern: str) -> None:
    log.warning("%s is ignored: there is no script %s.* beside it (scripts.pattern is %s)", file, file.stem, pattern)


@cache
def _warn_of_script(script: Path, name: str) -> None:
    log.warning("%s fills nothing: there is no %s.yaml beside it, and no dataset %s", script, script.stem, name)
