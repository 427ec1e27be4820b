from __future__ import annotations

from dataclasses import dataclass

import pytest

from worldsim.config import from_mapping, require, to_mapping
from worldsim.errors import ConfigError


@dataclass(frozen=True)
class Inner:
    width: int = 3
    tags: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        require(self.width > 0, f"width must be above 0, got {self.width}")


@dataclass(frozen=True)
class Outer:
    name: str
    inner: Inner = Inner()
    scale: float | None = None


def test_mapping_and_dataclass_are_inverse():
    outer = Outer("x", Inner(5, ("a", "b")), 2.0)
    assert from_mapping(Outer, to_mapping(outer), "f:") == outer


def test_defaults_are_left_out_of_mappings():
    assert to_mapping(Outer("x")) == {"name": "x"}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"name": "x", "iner": {}}, "f: iner is unknown, did you mean 'inner'?"),
        ({"inner": {}}, "f: name is missing"),
        ({"name": "x", "inner": {"width": "3"}}, "f: inner.width must be a whole number, got '3'"),
        ({"name": "x", "inner": {"width": -1}}, "f: inner.width must be above 0, got -1"),
        ({"name": "x", "inner": {"tags": "ab"}}, "f: inner.tags must be a list, got 'ab'"),
        ([], "f: must be a mapping, got []"),
    ],
)
def test_errors_name_the_place_and_the_remedy(data, message):
    with pytest.raises(ConfigError) as caught:
        from_mapping(Outer, data, "f:")
    assert str(caught.value) == message
