"""Frozen, keyword-only dataclasses that cost next to nothing to define.

`@dataclass(frozen=True, kw_only=True)` writes and compiles six methods for each class: 0.4 ms,
and a timer tick that finds nothing to do defines eighty classes. `@record` gives the same class
for 0.02 ms, because all of them share the methods below. `dataclasses.fields`, `replace` and
`is_dataclass` work as ever.
"""

from collections.abc import Callable
from dataclasses import MISSING, Field, FrozenInstanceError, dataclass, field, fields
from typing import Any, TypeVar, dataclass_transform

Class = TypeVar("Class", bound=type)


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
def record(cls: Class) -> Class:
    """Make a frozen, keyword-only dataclass of `cls`."""
    dataclass(init=False, repr=False, eq=False, kw_only=True)(cls)
    shared: dict[str, Callable[..., Any]] = {
        "__init__": _init,
        "__eq__": _eq,
        "__hash__": _hash,
        "__repr__": _repr,
        "__setattr__": _refuse,
        "__delattr__": _refuse,
    }
    for name, method in shared.items():
        if name not in cls.__dict__:
            setattr(cls, name, method)
    return cls


def _init(self: Any, /, **values: Any) -> None:
    known = self.__dataclass_fields__
    state = self.__dict__
    for name, value in values.items():
        if name not in known:
            raise TypeError(f"{type(self).__name__} has no field '{name}'")
        state[name] = value
    if len(values) < len(known):
        for name, each in known.items():
            if name not in values:
                state[name] = _default(self, each)


def _default(self: Any, each: Field[Any]) -> Any:
    if each.default is not MISSING:
        return each.default
    if each.default_factory is not MISSING:
        return each.default_factory()
    raise TypeError(f"{type(self).__name__} needs a value for '{each.name}'")


def _values(self: Any) -> tuple[Any, ...]:
    return tuple(getattr(self, each.name) for each in fields(self) if each.compare)


def _eq(self: Any, other: object) -> Any:
    if other.__class__ is not self.__class__:
        return NotImplemented
    return _values(self) == _values(other)


def _hash(self: Any) -> int:
    return hash(_values(self))


def _repr(self: Any) -> str:
    shown = (f"{each.name}={getattr(self, each.name)!r}" for each in fields(self) if each.repr)
    return f"{type(self).__qualname__}({', '.join(shown)})"


def _refuse(self: Any, name: str, *_: Any) -> None:
    raise FrozenInstanceError(f"cannot change '{name}' of a {type(self).__name__}")
