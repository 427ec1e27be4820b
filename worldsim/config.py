"""Strict YAML -> frozen dataclass.

Knows nothing of what the dataclasses mean: unknown keys are errors that name the nearest known key, values are
checked against the annotated types, and each dataclass checks its own ranges in `__post_init__`.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin

import yaml

from worldsim.errors import ConfigError, nearest

T = TypeVar("T")


def from_mapping(cls: type[T], mapping: Any, where: str) -> T:
    """Build the dataclass `cls` from plain YAML data.

    where: how errors name the place, as `file: key.key`. Raises ConfigError for a wrong key, type or range.
    """
    if not isinstance(mapping, dict):
        raise ConfigError(f"{where} must be a mapping, got {_show(mapping)}")
    hints = typing.get_type_hints(cls)
    fields = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    for key in mapping:
        if key not in fields:
            raise ConfigError(f"{_join(where, str(key))} is unknown, {nearest(str(key), fields)}")
    values = {}
    for name, field in fields.items():
        if name in mapping:
            values[name] = _convert(hints[name], mapping[name], _join(where, name))
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise ConfigError(f"{_join(where, name)} is missing")
    try:
        return cls(**values)
    except ConfigError as error:
        raise type(error)(_join(where, str(error))) from None


def to_mapping(value: Any) -> Any:
    """The inverse of `from_mapping`: dataclasses and tuples become plain dicts and lists.

    Fields at their default are left out, so that a setting added later does not change what was written before.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            f.name: to_mapping(getattr(value, f.name))
            for f in dataclasses.fields(value)
            if f.default is dataclasses.MISSING or getattr(value, f.name) != f.default
        }
    if isinstance(value, (list, tuple)):
        return [to_mapping(v) for v in value]
    if isinstance(value, dict):
        return {k: to_mapping(v) for k, v in value.items()}
    return value


def read_yaml(path: Path) -> Any:
    """Plain YAML data of a file; raises ConfigError with file and line if it is no YAML."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read as text: {_reason(error)}") from None
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" at line {mark.line + 1}" if mark else ""
        raise ConfigError(f"{path} is not YAML{line}: {getattr(error, 'problem', None) or 'unreadable'}") from None


def require(condition: bool, message: str) -> None:
    """For `__post_init__`: raise ConfigError(message) unless `condition` holds. Begin the message with the field."""
    if not condition:
        raise ConfigError(message)


def _convert(hint: Any, value: Any, where: str) -> Any:
    origin = get_origin(hint)
    if dataclasses.is_dataclass(hint):
        if hasattr(hint, "variant") and isinstance(
            value, dict
        ):  # a tagged union: the mapping says which class it is of
            hint = hint.variant(value, where)
        return from_mapping(typing.cast(type, hint), value, where)
    if origin in (Union, types.UnionType):
        options = get_args(hint)
        if value is None and type(None) in options:
            return None
        return _convert(next(o for o in options if o is not type(None)), value, where)
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise ConfigError(f"{where} must be a list, got {_show(value)}")
        items = get_args(hint)
        if len(items) == 2 and items[1] is Ellipsis:
            return tuple(_convert(items[0], v, f"{where}[{i}]") for i, v in enumerate(value))
        if len(items) != len(value):
            raise ConfigError(f"{where} must have {len(items)} entries, got {len(value)}")
        return tuple(_convert(h, v, f"{where}[{i}]") for i, (h, v) in enumerate(zip(items, value, strict=True)))
    if origin is typing.Literal:
        if value not in get_args(hint):
            raise ConfigError(f"{where} is {value!r}, {nearest(str(value), map(str, get_args(hint)))}")
        return value
    if origin is dict or hint is dict:
        if not isinstance(value, dict):
            raise ConfigError(f"{where} must be a mapping, got {_show(value)}")
        item = get_args(hint)[1] if get_args(hint) else Any
        return {str(k): _convert(item, v, _join(where, str(k))) for k, v in value.items()}
    if hint is Any:
        return value
    if hint is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if hint in (int, str, bool) and type(value) is hint:
        return value
    raise ConfigError(f"{where} must be {_name(hint)}, got {_show(value)}")


def _name(hint: Any) -> str:
    return {float: "a number", int: "a whole number", str: "text", bool: "true or false"}.get(hint, str(hint))


def _join(where: str, key: str) -> str:
    """`file: key` at the top of a file, `file: key.key` below."""
    if where.endswith(":"):
        return f"{where} {key}"
    return f"{where}.{key}" if where else key


def _show(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
