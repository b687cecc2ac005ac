"""The machines that serve a load as a table, and those that do not: declarations, and words."""

from apps.catalog.sizing.fits import Fit
from apps.common.badges import Badge
from apps.common.counts import counted
from apps.common.money import NO_PRICE
from apps.common.tables.columns import Column, Empty, Table

NOT_MEASURED = "not measured"


def how(fit: Fit) -> Badge:
    """Return whether the speed was measured, is an estimate, or is not known."""
    if fit.pace is None:
        return Badge("warn", "", NOT_MEASURED.capitalize(), title=fit.note)
    if fit.note:
        return Badge("idle", "", "Estimated", title=fit.note)
    return Badge("ok", "", "Measured tables")


def layout(fit: Fit) -> str:
    """Return replicas and how each is split: "2 replicas, each over 4 GPUs"."""
    split = f", each over {fit.ways} GPUs" if fit.ways > 1 else " of one GPU"
    if fit.replicas == 1 and fit.ways > 1:
        split = f" over {fit.ways} GPUs"
    return f"{counted(fit.replicas, 'replica')}{split}"


def machines(fit: Fit) -> str:
    """Return how many machines that takes, and what of them stays idle."""
    idle = f"; {counted(fit.idle_gpus, 'GPU')} idle" if fit.idle_gpus else ""
    return f"{counted(fit.machines, 'machine')}{idle}"


def by_library(fit: Fit) -> str:
    """Return what the library says of the KV cache, where an engine reported another figure."""
    found = fit.room
    is_same = found.reported is None or found.kv_tokens == found.by_library
    return "" if is_same else f"{found.by_library:,} by the library"


def reported_words(fit: Fit) -> str:
    """Return by which engine's report a KV cache is corrected; "" where by none."""
    found = fit.room.reported
    return f"As {found.engine} reported it at the start of {found.version}" if found else ""


FITS = Table(
    name="sizing",
    noun=("machine", "machines"),
    columns=(
        Column(
            "machine",
            "Machine",
            "machine.name",
            sort="machine.name",
            sub=lambda fit: f"{fit.machine.gpus} × {fit.machine.card.title}",
            place="name",
            css="nowrap",
        ),
        Column("layout", "Replicas", layout, sort="replicas", sub=machines, css="min-w-40"),
        Column("how", "Speed", how, kind="badge", css="nowrap"),
        Column(
            "usd",
            "On demand",
            "usd",
            kind="money",
            unit="an hour",
            sort=("is_unmeasured", "usd", "gpus"),
            unknown=NO_PRICE,
            place="figure",
        ),
        Column(
            "spot",
            "Spot",
            "spot_usd",
            kind="money",
            unit="an hour",
            sort="spot_usd",
            unknown=NO_PRICE,
            optional=True,
        ),
        Column(
            "million",
            "Per M tokens",
            "million_usd",
            kind="money",
            sort="million_usd",
            unknown=NOT_MEASURED,
            optional=True,
        ),
        Column(
            "spot_million",
            "Per M tokens on Spot",
            "spot_million_usd",
            kind="money",
            sort="spot_million_usd",
            unknown=NOT_MEASURED,
            optional=True,
            at_first=False,
        ),
        Column(
            "ttft",
            "First token",
            lambda fit: round(fit.pace.ttft_ms) if fit.pace else None,
            kind="figure",
            unit="ms, p95",
            sort="pace.ttft_ms",
            unknown=NOT_MEASURED,
        ),
        Column(
            "itl",
            "Each further",
            lambda fit: round(fit.pace.itl_ms, 1) if fit.pace else None,
            kind="figure",
            unit="ms",
            sort="pace.itl_ms",
            unknown=NOT_MEASURED,
        ),
        Column(
            "speed",
            "All replicas",
            lambda fit: round(fit.pace.tokens_per_second * fit.replicas) if fit.pace else None,
            kind="figure",
            unit="tok/s",
            sort="pace.tokens_per_second",
            unknown=NOT_MEASURED,
            optional=True,
            at_first=False,
        ),
        Column(
            "kv",
            "KV cache a replica",
            "room.kv_tokens",
            kind="figure",
            unit="tokens",
            sort="room.kv_tokens",
            sub=by_library,
            title=reported_words,
            optional=True,
        ),
    ),
    search=("machine.name", "machine.card.title"),
    search_words="Machine or GPU",
    order="usd",
    page_size=30,
    empty=Empty("No machine serves this", "Why each one does not stands below."),
)
