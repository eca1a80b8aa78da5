"""Groups of applicants by what the law protects, and by education."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Attribute:
    """A characteristic and the groups that its values fall into."""

    name: str
    groups: dict[str, Callable[[Values], npt.NDArray[np.bool_]]]


def _is(*codes: int) -> Callable[[Values], npt.NDArray[np.bool_]]:
    return lambda values: np.isin(values, codes)


def _from(low: int, high: int) -> Callable[[Values], npt.NDArray[np.bool_]]:
    return lambda values: (values >= low) & (values < high)


ATTRIBUTES: list[Attribute] = [
    Attribute("sex", {"male": _is(1), "female": _is(2)}),
    Attribute(
        "education",
        {
            "graduate school": _is(1),
            "university": _is(2),
            "high school": _is(3),
            "other or unknown": _is(0, 4, 5, 6),
        },
    ),
    Attribute("marriage", {"married": _is(1), "single": _is(2), "other or unknown": _is(0, 3)}),
    Attribute(
        "age",
        {
            "under 25": _from(0, 25),
            "25 to 34": _from(25, 35),
            "35 to 44": _from(35, 45),
            "45 to 54": _from(45, 55),
            "55 and over": _from(55, 999),
        },
    ),
]
