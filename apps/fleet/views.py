"""The fleet: which GPUs there are, which are idle and what that costs, what is starting, and what
ended why.

For platform engineers, auditors and finance; to everybody else these pages are not there.
"""

from datetime import datetime, timedelta

from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import Http404, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.timezone import now
from django.views.decorators.http import require_GET

from apps.accounts.requests import SignedIn
from apps.accounts.roles import SEES_FLEET
from apps.common.simulated import Simulated
from apps.common.spreadsheets import csv_answer
from apps.fleet import gpu_map, intervals, pages, queries, simulated
from apps.fleet.idle import idle_lines
from apps.fleet.metrics import charts
from apps.fleet.metrics.loads import measured
from apps.fleet.metrics.rollup import minute_of
from apps.fleet.models import ClusterObject, Node, NodeClaim, NodePool, Replica

PAGE = 50
IDLE_SHOWN = 20
INTERVALS_SHOWN = 200
HOURS = ("1", "3", "12", "24")
TABLE_MINUTES = 60
ODD_DAYS = (
    "Days are written as 2026-11-02; the last one is not before the first, and there are 366 at "
    "most.\n"
)


@require_GET
def node_list(request: SignedIn) -> HttpResponse:
    """Show the GPU map, what idle GPUs cost and why they are still there, the nodes, and the pools
    they come from.
    """
    _require_reader(request)
    text, moment = _text(request), now()
    page = _page(request, Node.objects.present().with_gpus().matching(text))
    pools, found = _pools(), queries.snapshot(moment)
    rows = gpu_map.map_rows(page.object_list, found.replicas, found.now)
    chosen = request.GET.get("gpu", "")
    cell = next((cell for row in rows for cell in row.cells if cell.key == chosen), None)
    idle = idle_lines(
        nodes=page.object_list if text else found.nodes,
        replicas=found.replicas,
        now=found.now,
        pools={pool.name: pool for pool in pools},
        empty_since=queries.empty_since(found.nodes),
        moment=moment,
    )
    context = {
        "page_obj": page,
        "map": rows,
        "trouble": queries.measuring_trouble(found, moment),
        "cell": cell,
        "details": gpu_map.details(cell) if cell else [],
        "idle": idle[:IDLE_SHOWN],
        "idle_left": max(0, len(idle) - IDLE_SHOWN),
        "lines": pages.node_lines(page.object_list),
        "pools": pages.pool_lines(pools),
    }
    return _show(request, "fleet/node_list.html", "nodes", text, context, found)


@require_GET
def claim_list(request: SignedIn) -> HttpResponse:
    """Show the node claims on a time line: why each was launched, what it cost, why it ended."""
    _require_reader(request)
    text, moment = _text(request), now()
    page = _page(request, NodeClaim.objects.matching(text).prefetch_related("intervals"))
    context = {
        "page_obj": page,
        "chart": pages.claim_chart(page.object_list, moment),
        "today": moment.date(),
    }
    return _show(request, "fleet/claim_list.html", "claims", text, context)


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
        "badge": pages.claim_badge(claim),
        "cost": cost,
        "length": pages.duration(cost.length),
        "unobserved": pages.duration(cost.unobserved) if cost.unobserved else "",
        "lines": [
            (part, pages.duration(part.length), pages.part_badge(part))
            for part in cost.parts[-INTERVALS_SHOWN:]
        ],
        "earlier": max(0, len(cost.parts) - INTERVALS_SHOWN),
        "times": pages.claim_times(claim),
        "events": intervals.events_of(claim),
        "freshness": queries.freshness(moment),
        "simulated": Simulated(machines=claim.is_simulated, prices=claim.is_price_simulated),
        "moving": not claim.ended_at and (claim.deleting_at or not claim.initialized_at),
        "last_day": (claim.ended_at or moment).date(),
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
    return csv_answer("node-intervals", intervals.csv_rows(from_at, to_at), of=days)


@require_GET
def replica_list(request: SignedIn) -> HttpResponse:
    """Show the replicas, each with the phases of its cold start."""
    _require_reader(request)
    text = _text(request)
    rows = Replica.objects.matching(text).prefetch_related("phases")
    state, moment = request.GET.get("state", "present"), now()
    page = _page(request, rows if state == "all" else rows.present())
    found = queries.snapshot(moment)
    context = {
        "page_obj": page,
        "lines": pages.replica_lines(page.object_list, moment, found.now),
        "state": state,
    }
    return _show(request, "fleet/replica_list.html", "replicas", text, context, found)


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
        "badge": pages.replica_badge(replica),
        "load": (load := measured([replica], moment).load(replica)),
        "load_badge": gpu_map.state_badge(load.state),
        "from_at": from_at,
        "to_at": to_at,
        "step": charts.step_of(from_at, to_at) // charts.MINUTE,
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
    text: str,
    context: dict[str, object],
    found: queries.Snapshot | None = None,
) -> HttpResponse:
    """Show a page of the fleet: its figure, how fresh it is, and the page's own part; or the live
    part alone.
    """
    moment = now()
    shared = {
        "tab": tab,
        "text": text,
        "figures": queries.figures(found or queries.snapshot(moment)),
        "freshness": queries.freshness(moment),
        "simulated": simulated.of_machines(),
        "moving": queries.is_moving(moment),
        "fragment": bool(request.htmx),
    }
    name = template + ("#live" if shared["fragment"] else "")
    return render(request, name, shared | context)


def _require_reader(request: SignedIn) -> None:
    if not request.user.has_role(*SEES_FLEET):
        raise Http404


def _text(request: SignedIn) -> str:
    return request.GET.get("q", "").strip()[:100]


def _pools() -> list[NodePool]:
    return list(NodePool.objects.present())


def _page(request: SignedIn, rows: "QuerySet[ClusterObject]") -> "Paginator.Page":  # type: ignore[name-defined]
    return Paginator(rows, PAGE).get_page(request.GET.get("page"))
