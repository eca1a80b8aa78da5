"""What a model is meant to reach, beside what it does: stated, and no gate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

AUC, ECE = 0.785, 0.01


@dataclass(frozen=True)
class Aim:
    """An aim and the figure that is held to it."""

    name: str
    aim: str
    figure: str
    met: bool

    def verdict(self) -> str:
        """Return whether it is met, in words."""
        return "met" if self.met else "not met"


def hold(repeated: dict[str, Any], test: dict[str, Any]) -> list[Aim]:
    """Hold a candidate's figures to the aims.

    Parameters
    ----------
    repeated, test : dict
        Of metrics.json.
    """
    low, high = repeated["auc_interval"]
    error, chance = test["figures"]["ece"]["value"], test["ece_by_chance"]["mean"]
    return [
        Aim(
            f"mean AUC over {repeated['splits']} splits of the training rows",
            f"at least {AUC}",
            f"{repeated['mean_auc']:.4f} (95 % {low:.4f} to {high:.4f})",
            repeated["mean_auc"] >= AUC,
        ),
        Aim(
            "calibration error of the hold-out, as it is",
            f"at most {ECE}",
            f"{error:.4f}",
            error <= ECE,
        ),
        Aim(
            "calibration error of the hold-out beyond chance, which the gate judges",
            f"at most {ECE}",
            f"{error - chance:+.4f} ({error:.4f} less {chance:.4f})",
            error - chance <= ECE,
        ),
    ]
