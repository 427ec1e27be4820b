"""Strict YAML -> frozen dataclass.

Knows nothing of what the dataclasses mean: unknown keys are errors that name the nearest known key, values are
checked against the annotated types, and each dataclass checks its own ranges in `__post_init__`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import types
import typing
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin

import yaml

from worldsim.errors import ConfigError, nearest, shown

T = TypeVar("T")

_LARGEST_FILE = 2**20  # bytes of YAML
LARGEST = 1e12  # no number of a configuration is further from 0
_DEEPEST, _MOST = 32, 100_000  # levels and values of what a YAML file says: its aliases may name a list a million times


def from_mapping(cls: type[T], mapping: Any, where: str) -> T:
    """Build the dataclass `cls` from plain YAML data.

    where: how errors name the place, as `file: key.key`. Raises ConfigError for a wrong key, type or range.
    """
    if not isinstance(mapping, dict):
        raise ConfigError(f"{where} must be a mapping, got {shown(mapping)}")
    hints = typing.get_type_hints(cls)
    fields = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    for key in mapping:
        if key not in fields:
            raise ConfigError(f"{_join(where, _short(key))} is unknown, {nearest(str(key), fields)}")
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

    Every field is written, also one at its default: a default that changes later does not change what was written.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_mapping(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, (list, tuple)):
        return [to_mapping(v) for v in value]
    if isinstance(value, dict):
        return {k: to_mapping(v) for k, v in value.items()}
    return value


def without_defaults(value: Any) -> Any:
    """The same without fields at their default: what checkpoints, episodes and traces of format 1 were named by."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            f.name: without_defaults(getattr(value, f.name))
            for f in dataclasses.fields(value)
            if f.default is dataclasses.MISSING or getattr(value, f.name) != f.default
        }
    if isinstance(value, (list, tuple)):
        return [without_defaults(v) for v in value]
    if isinstance(value, dict):
        return {k: without_defaults(v) for k, v in value.items()}
    return value


def mapping_hash(data: Any) -> str:
    """SHA-256 of plain data in a canonical form: comments and the order of keys do not count."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()


def read_yaml(path: Path) -> Any:
    """Plain data of a YAML file: mappings with texts as keys, lists, texts, finite numbers, true, false and null.

    Raises ConfigError, with the line where that is known, for anything else.
    """
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise ConfigError(f"{shown_path(path)} is larger than {_LARGEST_FILE >> 20} MB, which no file of ours is")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise ConfigError(f"{shown_path(path)} cannot be read as text: {_reason(error)}") from None
    try:
        loader = _LOADER(text)  # a safe one: it makes plain data and nothing else
        try:
            data = loader.get_single_data()
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" at line {mark.line + 1}" if mark else ""
        problem = str(getattr(error, "problem", None) or "unreadable")[:100]
        raise ConfigError(f"{shown_path(path)} is not YAML{line}: {problem}") from None
    except (ValueError, OverflowError) as error:  # a date or a number that is none
        raise ConfigError(f"{shown_path(path)} has a value that cannot be read: {_reason(error)}") from None
    except (RecursionError, TypeError, AttributeError, KeyError, IndexError):
        raise ConfigError(f"{shown_path(path)} is not YAML that can be read; it may nest too deep") from None
    return plain_data(data, f"{shown_path(path)}:")


def plain_data(data: Any, where: str) -> Any:
    """A copy of plain data, with texts as keys. Raises ConfigError for other values, infinite numbers, and too many."""
    left = _MOST

    def copy(value: Any, place: str, depth: int) -> Any:
        nonlocal left
        left -= 1
        if depth > _DEEPEST or left < 0:
            raise ConfigError(f"{where} holds too many values, or they nest deeper than {_DEEPEST} levels")
        if isinstance(value, dict):
            return {_key(k, place): copy(v, _join(place, _short(k)), depth + 1) for k, v in value.items()}
        if isinstance(value, list):
            return [copy(v, place, depth + 1) for v in value]
        if type(value) is float and not math.isfinite(value):
            raise ConfigError(f"{place} must be a finite number, got {value}")
        if type(value) is int and abs(value) >= 2**63:
            raise ConfigError(f"{place} must be a number of at most 64 bits, got {shown(value)}")
        if value is None or type(value) in (str, int, float, bool):
            return value
        raise ConfigError(f"{place} must be text, a number, true, false or null, got {shown(value)}")

    return copy(data, where, 0)


def _short(key: Any) -> str:
    text = str(key)
    return text if len(text) <= 40 else text[:37] + "..."


def _key(key: Any, where: str) -> str:
    if type(key) not in (str, int, bool):
        raise ConfigError(f"{where} must have texts as keys, got {shown(key)}")
    return str(key)


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
            raise ConfigError(f"{where} must be a list, got {shown(value)}")
        items = get_args(hint)
        if len(items) == 2 and items[1] is Ellipsis:
            return tuple(_convert(items[0], v, f"{where}[{i}]") for i, v in enumerate(value))
        if len(items) != len(value):
            raise ConfigError(f"{where} must have {len(items)} entries, got {len(value)}")
        return tuple(_convert(h, v, f"{where}[{i}]") for i, (h, v) in enumerate(zip(items, value, strict=True)))
    if origin is typing.Literal:
        if not isinstance(value, (str, int)) or value not in get_args(hint):
            raise ConfigError(f"{where} is {shown(value)}, {nearest(str(value), map(str, get_args(hint)))}")
        return value
    if origin is dict or hint is dict:
        if not isinstance(value, dict):
            raise ConfigError(f"{where} must be a mapping, got {shown(value)}")
        item = get_args(hint)[1] if get_args(hint) else Any
        return {str(k): _convert(item, v, _join(where, _short(k))) for k, v in value.items()}
    if hint is Any:
        return plain_data(value, where)
    if hint is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        if not abs(value) < math.inf or abs(value) > LARGEST:
            raise ConfigError(f"{where} must lie in [-1e12, 1e12], got {shown(value)}")
        return float(value)
    if hint is int and type(value) is int:
        if abs(value) >= 2**63:
            raise ConfigError(f"{where} must be a whole number of at most 64 bits, got {shown(value)}")
        return value
    if hint in (str, bool) and type(value) is hint:
        return value
    raise ConfigError(f"{where} must be {_name(hint)}, got {shown(value)}")


def _name(hint: Any) -> str:
    return {float: "a number", int: "a whole number", str: "text", bool: "true or false"}.get(hint, str(hint))


def _join(where: str, key: str) -> str:
    """`file: key` at the top of a file, `file: key.key` below; a very long way there is cut."""
    where = where if len(where) <= 160 else where[:157] + "..."
    if where.endswith(":"):
        return f"{where} {key}"
    return f"{where}.{key}" if where else key


def shown_path(path: Path) -> str:
    """A path for an error sentence: its end, if it is very long."""
    text = str(path)
    return text if len(text) <= 100 else "..." + text[-97:]


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error or type(error).__name__)[:100]


_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, where libyaml is there
