"""@record makes what @dataclass(frozen=True, kw_only=True) makes, only sooner."""

from dataclasses import FrozenInstanceError, field, fields, is_dataclass, replace

import pytest

from botticelli.records import record


@record
class Point:
    """A place."""

    x: int
    y: int = 0
    tags: list[str] = field(default_factory=list, compare=False)


def test_fields_defaults_and_factories_are_filled_in():
    one, other = Point(x=1), Point(x=1, y=2, tags=["a"])

    assert (one.x, one.y, one.tags) == (1, 0, [])
    assert (other.y, other.tags) == (2, ["a"])
    assert one.tags is not Point(x=1).tags


@pytest.mark.parametrize("values", [{}, {"y": 1}, {"x": 1, "z": 2}])
def test_missing_and_unknown_fields_are_refused(values):
    with pytest.raises(TypeError, match="Point"):
        Point(**values)


def test_equal_by_value_hashable_readable_and_frozen():
    assert Point(x=1) == Point(x=1, tags=["not compared"])
    assert Point(x=1) != Point(x=2)
    assert len({Point(x=1), Point(x=1), Point(x=2)}) == 2
    assert repr(Point(x=1)) == "Point(x=1, y=0, tags=[])"
    with pytest.raises(FrozenInstanceError):
        Point(x=1).x = 2
    with pytest.raises(FrozenInstanceError):
        del Point(x=1).x


def test_the_dataclass_functions_work():
    assert is_dataclass(Point)
    assert [each.name for each in fields(Point)] == ["x", "y", "tags"]
    assert replace(Point(x=1, y=2), x=5) == Point(x=5, y=2)
