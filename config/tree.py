"""Which settings are there, and by which names?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeGuard, get_args, get_origin

from pydantic import BaseModel

from config.models import Config


def settings(model: type[BaseModel], values: Any) -> Iterator[tuple[str, ...]]:
    """The path of each setting of a model. In a mapping such as `sources`, the names are those in `values`."""
    given = values if isinstance(values, dict) else {}
    for name, field in model.model_fields.items():
        yield (name,)
        inner = next((a for a in (field.annotation, *get_args(field.annotation)) if is_model(a)), None)
        if get_origin(field.annotation) is dict:
            entries = given.get(name)
            for key, entry in entries.items() if isinstance(entries, dict) else ():
                yield (name, key)
                yield from ((name, key, *rest) for rest in (settings(inner, entry) if inner else ()))
        elif inner and get_origin(field.annotation) is not list:
            yield from ((name, *rest) for rest in settings(inner, given.get(name)))


def known_names(path: tuple[str, ...]) -> list[str]:
    """The names of the settings that a section at `path` may have; empty for a mapping with any names.

    Where an entry may be one of several models, its `type` follows its name in the path.
    """
    model: Any = Config
    parts = list(path)
    while parts:
        annotation = model.model_fields[parts.pop(0)].annotation
        model = next((a for a in get_args(annotation) if is_model(a)), annotation)
        if get_origin(annotation) in (dict, list) and parts:
            parts.pop(0)
        if parts and (choices := _choices(annotation)):
            model = choices.get(parts.pop(0), annotation)
        if not is_model(model):
            return []
    return sorted(field.alias or name for name, field in model.model_fields.items())


def known_types(path: tuple[str, ...]) -> list[str]:
    """The types that an entry of the mapping at `path` may have."""
    model: Any = Config
    for part in path[:-1]:
        model = model.model_fields[part].annotation
    return list(_choices(model.model_fields[path[-1]].annotation))


def _choices(annotation: Any) -> dict[str, type[BaseModel]]:
    """The models of which each entry of a mapping is one, by its `type`; empty if all entries are alike."""
    if get_origin(annotation) is not dict:
        return {}
    [union, *_] = get_args(get_args(annotation)[1]) or [None]
    models = [model for model in get_args(union) if is_model(model) and "type" in model.model_fields]
    return {get_args(model.model_fields["type"].annotation)[0]: model for model in models}


def is_named(section: str) -> bool:
    """Is the section a mapping from names to entries, such as `sources`?"""
    return get_origin(Config.model_fields[section].annotation) is dict


def is_section(name: str) -> bool:
    """Is the top-level setting a section, with settings or entries of its own?"""
    return name in Config.model_fields and (is_named(name) or is_model(Config.model_fields[name].annotation))


def singular(section: str) -> str:
    """What one entry of a section is called."""
    return "variant" if section == "rollout" else section.removesuffix("s")


def is_model(annotation: Any) -> TypeGuard[type[BaseModel]]:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
