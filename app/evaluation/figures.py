"""A measured figure, and how figures of several runs come together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Figure:
    """``name`` is its path in the JSON: ``retrieval.hit5``. ``details`` are values that people compare, by name."""

    name: str
    value: float
    rows: int
    model: str
    at_least: float | None = None
    at_most: float | None = None
    note: str = ""
    details: Mapping[str, float] = field(default_factory=dict)

    @property
    def is_reached(self) -> bool | None:
        """None: no target is set."""
        if self.at_least is not None:
            return self.value >= self.at_least
        return None if self.at_most is None else self.value <= self.at_most

    def as_json(self, *, date: str, data: str) -> dict[str, Any]:
        target = {"at_least": self.at_least, "at_most": self.at_most}
        return {
            "value": round(self.value, 6),
            "rows": self.rows,
            "date": date,
            "model": self.model,
            "data": data,
            **{name: value for name, value in target.items() if value is not None},
            **({"note": self.note} if self.note else {}),
            **({"details": {k: round(v, 6) for k, v in self.details.items()}} if self.details else {}),
        }


def merged(before: Mapping[str, Any], figures: Iterable[Figure], *, date: str, data: str) -> dict[str, Any]:
    """``before`` with these figures in place of their former selves; what was not measured again stays."""
    found = {name: dict(value) for name, value in before.items()}
    for figure in figures:
        place, parts = found, figure.name.split(".")
        for part in parts[:-1]:
            place = place.setdefault(part, {})
        place[parts[-1]] = figure.as_json(date=date, data=data)
    return found


def flat(found: Mapping[str, Any], path: str = "") -> dict[str, dict[str, Any]]:
    """The figures by their dotted names."""
    figures: dict[str, dict[str, Any]] = {}
    for name, value in found.items():
        figures |= {path + name: value} if "value" in value else flat(value, f"{path}{name}.")
    return figures
