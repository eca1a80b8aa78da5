"""The command line: `credit-retrain COMMAND`.

Commands import what they work with as they run: help and refusals of flags cost no library.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable

import typer

from credit_retrain.base.problems import ProblemError
from credit_retrain.cli import data, dev, drift, models, registry

COMMANDS: tuple[Callable[..., int], ...] = (
    data.fetch,
    data.prepare,
    data.validate,
    models.train,
    models.ship,
    models.evaluate,
    models.ceiling,
    models.gate,
    models.export,
    models.check,
    registry.aliases,
    registry.fetch_model,
    registry.release,
    drift.drift,
    dev.population,
    dev.fixtures,
    dev.drift_fixtures,
)
PROBLEMS = (ProblemError, ValueError, OSError)
"""What is reported in a line, without a trace."""


def _command(run: Callable[..., int]) -> Callable[..., None]:
    """Make a command's return value its exit code, and a problem one line."""
    name = run.__name__.replace("_", "-")

    @functools.wraps(run)
    def wrapped(*arguments: object, **flags: object) -> None:
        try:
            code = run(*arguments, **flags)
        except PROBLEMS as error:
            print(f"credit-retrain {name}: {error}", file=sys.stderr)
            code = 1
        if code:
            raise typer.Exit(code)

    return wrapped


def app() -> typer.Typer:
    """Build the command line."""
    out = typer.Typer(
        help="Train the models that creditstream serves.",
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    )
    for run in COMMANDS:
        out.command(run.__name__.replace("_", "-"))(_command(run))
    return out


def main(arguments: list[str] | None = None) -> int:
    """Run a command and return its exit code: 0 done, 1 failed, 2 wrong flags, 3 not judged."""
    given = sys.argv[1:] if arguments is None else arguments
    passed_on: list[str] = []
    if given[:1] == ["release"] and "--" in given:  # what follows is the binary's
        at = given.index("--")
        given, passed_on = given[:at], given[at + 1 :]
    try:
        app()(given, prog_name="credit-retrain", obj=passed_on)
    except SystemExit as done:
        return int(done.code or 0)
    return 0


if __name__ == "__main__":
    sys.exit(main())
