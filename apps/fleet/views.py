"""The fleet: which GPUs there are, which are idle and what that costs, what is starting, and what
ended why.

For platform engineers, auditors and finance; to everybody else these pages are not there.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from django.http import Http404, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.timezone import now
from django.views.decorators.http import require_GET

from apps.accounts.requests import SignedIn
from apps.accounts.roles import SEES_FLEET
from apps.common import periods
from apps.common.progress import took
from apps.common.simulated import Simulated
from apps.common.spreadsheets import csv_answer
from apps.common.tables.columns import Table
from apps.common.tables.reading import is_for_table, read, respond, wants_csv
from apps.fleet import gpu_map, intervals, pages, queries, simulated, tables
from apps.fleet.idle import idle_lines
from apps.fleet.metrics import charts
from apps.fleet.metrics.loads import measured
from apps.fleet.metrics.rollup import minute_of
from apps.fleet.models import Node, NodeClaim, NodePool, Replica
from apps.fleet.pricing.book import with_prices

INTERVALS_SHOWN = 200
HOURS = ("1", "3", "12", "24")
TABLE_MINUTES = 60
ODD_DAYS = (
    "Write days as 2026-11-02. The last one cannot be before the first, and there can be 366 at "
    "most.\n"
)


@require_GET
def node_list(request: SignedIn) -> HttpResponseBase:
    """Show the GPU map, what idle GPUs cost and why they are still there, the nodes, and the pools
    they come from.
    """
    _require_reader(request)
    moment = now()
    present = list(queries.with_use(Node.objects.present().with_gpus()))
    nodes = tables.node_lines(with_prices(present, moment))
    if _is_table_alone(tables.NODES, request):
        return respond(tables.NODES, request, nodes, "fleet/node_list.html")
    fresh = queries.freshness(moment)
    table = tables.NODES
    if fresh.seen_until is None:
        table = replace(table, empty=tables.NODES_UNSEEN)
    page, found, pools = read(table, request, nodes), queries.snapshot(moment), _pools()
    here = [line.row.node for line in page.lines]
    idle = idle_lines(
        nodes=here if page.is_filtered else found.nodes,
        replicas=found.replicas,
        now=found.now,
        pools={pool.name: pool for pool in pools},
        empty_since=queries.empty_since(found.nodes),
        moment=moment,
    )
    if _is_table_alone(tables.IDLE, request):
        return respond(tables.IDLE, request, idle, "fleet/node_list.html")
    rows = gpu_map.map_rows(here, found.replicas, found.now)
    chosen = request.GET.get("gpu", "")
    cell = next((cell for row in rows for cell in row.cells if cell.key == chosen), None)
    context = {
        "table": page,
        "map": rows,
        "trouble": queries.measuring_trouble(found, moment),
        "cell": cell,
        "details": gpu_map.details(cell) if cell else [],
        "idle": read(tables.IDLE, request, idle),
        "pools": pages.pool_lines(pools),
        "freshness": fresh,
    }
    return _show(request, "fleet/node_list.html", "nodes", context, found)


@require_GET
def claim_list(request: SignedIn) -> HttpResponseBase:
    """Show the node claims on a time line: why each was launched, what it cost, why it ended."""
    _require_reader(request)
    moment = now()
    rows, table = NodeClaim.objects.prefetch_related("intervals"), tables.claims(moment)
    if _is_table_alone(table, request):
        return respond(table, request, rows, "fleet/claim_list.html")
    page = read(table, request, rows)
    context = {
        "table": page,
        "timeline": pages.claim_chart([line.row for line in page.lines], moment),
        "today": periods.day_of(moment),
    }
    return _show(request, "fleet/claim_list.html", "claims", context)


@require_GET
def claim_detail(request: SignedIn, pk: int) -> HttpResponse:
    """Show what a claim cost: its intervals, each with its price, and the events that account for
    them.
    """
    _require_reader(request)
    claim, moment = get_object_or_404(NodeClaim, pk=pk), now()
    cost = intervals.cost_of(claim, moment)
    context = {
        "claim": claim,
        "crumbs": _crumbs("fleet:claim_list", "Node claims", claim.name),
        "badge": pages.claim_badge(claim),
        "cost": cost,
        "length": took(cost.length),
        "unobserved": took(cost.unobserved) if cost.unobserved else "",
        "lines": [
            (part, took(part.length), pages.part_badge(part))
            for part in cost.parts[-INTERVALS_SHOWN:]
        ],
        "earlier": max(0, len(cost.parts) - INTERVALS_SHOWN),
        "times": pages.claim_times(claim),
        "events": intervals.events_of(claim),
        "freshness": queries.freshness(moment),
        "simulated": Simulated(machines=claim.is_simulated, prices=claim.is_price_simulated),
        "moving": not claim.ended_at and (claim.deleting_at or not claim.initialized_at),
        "last_day": periods.day_of(claim.ended_at or moment),
        "fragment": bool(request.htmx),
    }
    return render(
        request, "fleet/claim_detail.html" + ("#live" if context["fragment"] else ""), context
    )


@require_GET
def interval_export(request: SignedIn) -> HttpResponse | StreamingHttpResponse:
    """Give the node intervals of some days as CSV: UTC, both ends included, today where none is
    named.
    """
    _require_reader(request)
    try:
        from_at, to_at = intervals.days(
            request.GET.get("from", ""), request.GET.get("to", ""), now=now()
        )
    except ValueError:
        return HttpResponse(ODD_DAYS, status=400, content_type="text/plain; charset=utf-8")
    last = max(from_at, to_at - timedelta(microseconds=1))
    days = f"{from_at:%Y-%m-%d}-{last:%Y-%m-%d}"
    rows = intervals.csv_rows(from_at, to_at)
    return csv_answer("node-intervals", rows, of=days, is_sample=bool(request.sample))


@require_GET
def replica_list(request: SignedIn) -> HttpResponseBase:
    """Show the replicas, each with the phases of its cold start."""
    _require_reader(request)
    moment = now()
    rows = Replica.objects.prefetch_related("phases")
    if not request.GET.get("state"):
        rows = rows.present()
    found = queries.snapshot(moment)
    table = tables.replicas(moment, found.now)
    if _is_table_alone(table, request):
        return respond(table, request, rows, "fleet/replica_list.html")
    context = {"table": read(table, request, rows)}
    return _show(request, "fleet/replica_list.html", "replicas", context, found)


def _is_table_alone(table: Table, request: SignedIn) -> bool:
    """Tell whether the table, or its rows as CSV, are asked for without the page around."""
    return wants_csv(table, request) or is_for_table(table, request)


@require_GET
def replica_detail(request: SignedIn, pk: int) -> HttpResponse:
    """Show a replica's last hours: one chart per sign of load, and the same minutes as a table."""
    _require_reader(request)
    replica = get_object_or_404(Replica, pk=pk)
    wanted = request.GET.get("hours", "")
    hours = int(wanted) if wanted in HOURS else 3
    moment = now()
    from_at, to_at = _lifetime(replica, timedelta(hours=hours), moment)
    rows, power = queries.minutes_of(replica, from_at, to_at)
    context = {
        "replica": replica,
        "crumbs": _crumbs("fleet:replica_list", "Replicas", replica.service or replica.name),
        "badge": pages.replica_badge(replica),
        "load": (load := measured([replica], moment).load(replica)),
        "load_badge": gpu_map.state_badge(load.state),
        "from_at": from_at,
        "to_at": to_at,
        "step": charts.step_of(from_at, to_at) // charts.MINUTE,
        "start": pages.start_line(replica, moment),
        "charts": charts.charts(rows, power, from_at, to_at) if rows else [],
        "lines": pages.minute_lines(rows[::-1][:TABLE_MINUTES]),
        "hours": hours,
        "choices": HOURS,
        "fragment": bool(request.htmx),
    }
    return render(
        request, "fleet/replica_detail.html" + ("#live" if context["fragment"] else ""), context
    )


def _lifetime(replica: Replica, length: timedelta, moment: datetime) -> tuple[datetime, datetime]:
    """Return the last minutes in which a replica was there: before and after it there was nothing
    to measure.
    """
    to_at = minute_of(min(replica.ended_at or moment, moment)) + timedelta(minutes=1)
    return max(
        to_at - length, min(minute_of(replica.created_at), to_at - timedelta(minutes=1))
    ), to_at


def _show(
    request: SignedIn,
    template: str,
    tab: str,
    context: Mapping[str, object],
    found: queries.Snapshot | None = None,
) -> HttpResponse:
    """Show a page of the fleet: its figure, how fresh it is, and the page's own part; or the live
    part alone.
    """
    moment = now()
    shared = {
        "tab": tab,
        "figures": queries.figures(found or queries.snapshot(moment)),
        "freshness": context.get("freshness") or queries.freshness(moment),
        "simulated": simulated.of_machines(),
        "moving": queries.is_moving(moment),
        "fragment": bool(request.htmx),
    }
    name = template + ("#live" if shared["fragment"] else "")
    return render(request, name, {**shared, **context})


def _crumbs(list_url: str, label: str, name: str) -> list[tuple[str, str]]:
    """Return the way to one thing of a list of the fleet."""
    return [("Fleet", reverse("fleet:node_list")), (label, reverse(list_url)), (name, "")]


def _require_reader(request: SignedIn) -> None:
    if not request.user.has_role(*SEES_FLEET):
        raise Http404


def _pools() -> list[NodePool]:
    return list(NodePool.objects.present())
