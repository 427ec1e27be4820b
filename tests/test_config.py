from __future__ import annotations

from dataclasses import dataclass

import pytest

from worldsim.config import from_mapping, read_yaml, require, to_mapping, without_defaults
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


def test_every_value_is_written_also_a_default():
    assert to_mapping(Outer("x")) == {"name": "x", "inner": {"width": 3, "tags": []}, "scale": None}
    assert without_defaults(Outer("x", scale=2.0)) == {"name": "x", "scale": 2.0}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1", "is not YAML at line"),
        ("a: .inf", "a must be a finite number"),
        ("a: " + "9" * 30, "a must be a number of at most 64 bits"),
        ("a: " + "9" * 5000, "cannot be read"),
        ("a: 2026-99-99", "cannot be read"),
        ("a: 2026-11-24", "a must be text, a number"),
        ("[a, b]: 1", "not YAML|texts as keys"),
        ("a: !!python/object:os.system {}", "is not YAML"),
        ("[" * 3000, "not YAML"),
        ("[" * 100 + "]" * 100, "nest deeper than 32"),
        ("a: &a [*a]", "nest deeper than 32|not YAML"),
        ("a: &a [x,x,x,x,x,x,x,x]\nb: &b [" + "*a," * 9 + "]\nc: &c [" + "*b," * 9 + "]\nd: &d [" + "*c," * 9
         + "]\ne: &e [" + "*d," * 9 + "]\nf: [" + "*e," * 9 + "]", "too many values"),
        ("x" * 2**21, "larger than 1 MB"),
    ],
)  # fmt: skip
def test_what_is_no_plain_data_is_one_sentence(tmp_path, text, message):
    path = tmp_path / "a.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message) as caught:
        read_yaml(path)
    assert len(str(caught.value)) < 300 and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"name": "x", "iner": {}}, "f: iner is unknown, did you mean 'inner'?"),
        ({"inner": {}}, "f: name is missing"),
        ({"name": "x", "inner": {"width": "3"}}, "f: inner.width must be a whole number, got '3'"),
        ({"name": "x", "inner": {"width": -1}}, "f: inner.width must be above 0, got -1"),
        ({"name": "x", "inner": {"tags": "ab"}}, "f: inner.tags must be a list, got 'ab'"),
        (
            {"name": "x", "inner": {"width": 2**63}},
            f"f: inner.width must be a whole number of at most 64 bits, got {2**63}",
        ),
        ({"name": "x", "scale": float("nan")}, "f: scale must lie in [-1e12, 1e12], got nan"),
        ({"name": "x" * 99, "inner": 5}, "f: inner must be a mapping, got 5"),
        ({"name": ["x" * 99]}, "f: name must be text, got ['" + "x" * 55 + "..."),
        ([], "f: must be a mapping, got []"),
    ],
)
def test_errors_name_the_place_and_the_remedy(data, message):
    with pytest.raises(ConfigError) as caught:
        from_mapping(Outer, data, "f:")
    assert str(caught.value) == message
