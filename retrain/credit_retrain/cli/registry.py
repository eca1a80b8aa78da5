"""Commands on the registry and the stream: aliases, fetch-model, release."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from credit_retrain.base import whole
from credit_retrain.cli import flags


def aliases(
    route: Annotated[
        str, typer.Option(metavar="FILE|-", help="What `creditstream model history --json` printed.")
    ] = "-",
    models: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="What `creditstream model list --json` printed: aliases then name the bytes released.",
        ),
    ] = None,
) -> int:
    """Set MLflow's champion and challenger to what the newest route says."""
    from credit_retrain.registry import releasing

    for line in releasing.aliases(route, models):
        print(line)
    return 0


def fetch_model(
    model: Annotated[str, typer.Argument(metavar="models:/NAME@ALIAS", show_default=False)],
    out: Annotated[str, typer.Option(metavar="FILE", help="Where to write.")],
) -> int:
    """Fetch a registered model's bundle from MLflow."""
    from credit_retrain.registry import champions, tracking

    content = tracking.fetch(model)
    whole.write(Path(out), content)
    print(f"{out}: model {champions.parse(model, content).version}, {len(content)} bytes")
    return 0


def release(
    context: typer.Context,
    model: Annotated[str, typer.Argument(metavar="MODEL", help="FILE|models:/NAME@ALIAS")],
    champion: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|VERSION|shipped",
            help="What its verdicts were reached against, where that is not the champion that the stream "
            "serves.",
        ),
    ] = None,
    binary: flags.Binary = None,
) -> int:
    """Release a bundle that passed its gates, by the creditstream binary.

    MODEL [-- FLAG ...]: after --, flags for `creditstream model release`, as --brokers HOST:PORT.
    """
    from credit_retrain.registry import releasing

    print(releasing.release(model, champion, binary, context.obj), end="")
    return 0
