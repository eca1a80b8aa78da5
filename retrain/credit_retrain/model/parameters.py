"""The parameters of the trees."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError


class Parameters(BaseModel):
    """What a search chooses; one that is absent is scikit-learn's default."""

    model_config = ConfigDict(extra="forbid", strict=True)

    max_depth: int = Field(default=3, ge=1)
    n_estimators: int = Field(default=100, ge=1)
    learning_rate: float = Field(default=0.1, gt=0)
    subsample: float = Field(default=1.0, gt=0, le=1)
    max_features: float | None = Field(default=None, gt=0, le=1)
    min_samples_leaf: int = Field(default=1, ge=1)


def read(given: dict[str, Any]) -> dict[str, Any]:
    """Return parameters that the trees take.

    Raises
    ------
    ValueError
        When one is unknown, of another kind or out of range; it names it.
    """
    try:
        return Parameters.model_validate(given).model_dump(exclude_unset=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = ".".join(str(key) for key in first["loc"])
        reason = first["msg"][:1].lower() + first["msg"][1:]
        raise ValueError(f"parameter {name} {first['input']!r}: {reason}") from error
