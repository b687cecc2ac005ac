"""The month's page: its total first, where the money went, and every line it is made of."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime
from functools import cached_property
from typing import Any
from urllib.parse import urlencode

from django.http import Http404
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.timezone import now
from django.views.decorators.http import require_GET

from apps.accounts.models import Role, User
from apps.accounts.requests import SignedIn
from apps.accounts.roles import SEES_ALL_MONEY
from apps.catalog.hues import hues
from apps.chargeback import costs, queries
from apps.chargeback.api import parse_month
from apps.chargeback.focus.columns import VERSIONS
from apps.chargeback.method import Kind
from apps.chargeback.models import MonthlyLine
from apps.chargeback.month import breakdown, comparison, freshness, pictures, tables, words
from apps.chargeback.month.breakdown import KINDS, WHOLE_LINE, Path, Row
from apps.chargeback.month.machines import Machines, machines
from apps.chargeback.periods import months_to_choose
from apps.chargeback.prices.estimates import prices_estimates
from apps.common.periods import month_bounds, month_of
from apps.common.simulated import Simulated
from apps.common.tables.columns import Table
from apps.common.tables.reading import Rows, is_for_table, read, respond, wants_csv
from apps.fleet.simulated import stand_in_versions
from apps.metering.gate.counts import Basis
from apps.metering.gate.queries import cut_calls
from apps.metering.tables import NONE, calls_url

# how the lines are shown: a step at a time, or all dimensions of each at once
WAYS = {"": "Step by step", "line": "Every line", "day": "Every day"}


@require_GET
def month(request: SignedIn) -> HttpResponseBase:
    """Show one month; each of its tables alone for htmx, and as CSV. ?cost_center=, team, model,
    version and kind lead into its lines; ?by=line or day shows all of them at once.
    """
    page = _Month(request, now())
    found = page.lines()
    answer = _one_of([found, page.teams()], request, "chargeback/month.html")
    return answer or respond(found[0], request, found[1], "chargeback/month.html", page.context())


@require_GET
def month_machines(request: SignedIn) -> HttpResponseBase:
    """Show what became of a month's machine time: the terms of its cost with their causes, by model
    and by card.
    """
    page = _Month(request, now())
    both = page.machine_tables()
    answer = _one_of(both, request, "chargeback/machines.html")
    return answer or render(request, "chargeback/machines.html", page.machine_context(both))


def _one_of(
    tables: Sequence[tuple[Table, Rows]], request: SignedIn, template: str
) -> HttpResponseBase | None:
    """Return one of these tables alone, for htmx or as CSV; None where the page is asked for."""
    for table, rows in tables:
        if wants_csv(table, request) or is_for_table(table, request):
            return respond(table, request, rows, template)
    return None


class _Month:
    """A month as one request asks for it."""

    def __init__(self, request: SignedIn, moment: datetime) -> None:
        self.request, self.user, self.moment = request, request.user, moment
        asked = request.GET.get("month")
        self.month = parse_month(asked) if asked else month_of(moment)
        self.start, self.end = month_bounds(self.month)
        self.scope = queries.scope_of(request.user)
        self.everything = Path(self.month, self.scope)
        self.path = _path(request, self.month, self.scope)
        by = request.GET.get("by", "")
        self.by = by if by in self.ways else ""
        self.played = stand_in_versions()

    @property
    def ways(self) -> dict[str, str]:
        """Return how the lines may be shown. Every day of every line is a lot: of a team only."""
        is_of_team = self.scope.team is not None or self.path.team is not None
        return {by: label for by, label in WAYS.items() if by != "day" or is_of_team}

    @property
    def dimensions(self) -> Sequence[str]:
        """Return what the lines are grouped by."""
        if self.by == "day":
            return (*WHOLE_LINE, "day")
        return WHOLE_LINE if self.by == "line" else self.path.dimensions

    @cached_property
    def whole(self) -> Row | None:
        """Return the sum of the whole month."""
        return breakdown.whole(self.everything)

    def lines(self) -> tuple[Table, Rows]:
        """Return the table of what is looked at, with its rows."""
        chosen = breakdown.whole(self.path) if self.path.chosen else self.whole
        table = tables.lines_table(
            self.path,
            self.dimensions,
            whole_usd=chosen.real_usd if chosen else None,
            played=self.played,
        )
        return table, breakdown.lines(self.path, self.dimensions)

    def teams(self) -> tuple[Table, Rows]:
        """Return the table of teams by GPU-hours, with its rows."""
        of_teams = replace(self.everything, kind=Kind.WORK.value)
        return tables.team_table(self.everything), breakdown.by_team(of_teams)

    def machine_tables(self) -> list[tuple[Table, Rows]]:
        """Return the tables by model and by card, with their rows."""
        asked: dict[str, Any] = {"start": self.start, "end": self.end, "scope": self.scope}
        found = costs.lines(**asked, by=["model", "gpu_name"])
        cards = [tables.card_row(line) for line in found if line.model]
        by_model = breakdown.by_model(self.everything)
        return [
            (tables.machine_table(self.everything), by_model),
            (tables.card_table(self.everything), cards),
        ]

    def context(self) -> dict[str, object]:
        """Return what the month's page shows around its lines."""
        found = machines(self.start, self.end, scope=self.scope)
        asked: dict[str, Any] = {"start": self.start, "end": self.end, "scope": self.scope}
        marks: dict[str, Any] = {"hues": hues(), "is_simulated": found.has_simulated_prices}
        machine_change, list_change = self._changes()
        links = words.links(self.start, self.end)
        teams, rows = self.teams()
        return self._shared(found) | {
            "title": f"Chargeback {self.month:%B %Y}",
            "actions": _actions(self.user, self.month, self.moment),
            "focus": _focus_files(self.user, self.month),
            "equation": words.equation(found, machine_change),
            "figures": words.figures(self.whole, found, list_change, links),
            "flow": pictures.flow(costs.amounts(**asked, by=pictures.FLOWS_BY), **marks),
            "days": pictures.days(**asked, **marks),
            "trail": _trail(self.path),
            "ways": [(self._way(by), label, by == self.by) for by, label in self.ways.items()],
            "teams": read(teams, self.request, rows),
            "estimated": words.estimated(self.whole),
            "estimates_words": words.estimates_priced(prices_estimates(self.month), self.whole),
            "notices": words.notices(self.whole),
            "cut": words.cut(cut_calls(self.start, self.end, team=self.scope.team)),
            "cut_url": calls_url(start=self.start, end=self.end, basis=Basis.COUNTED),
            "quarantine_url": freshness.quarantine_url(self.start, self.user),
            "links": links,
            "refusals": words.refusals(self.whole, self.start, self.end),
        }

    def machine_context(self, both: Sequence[tuple[Table, Rows]]) -> dict[str, object]:
        """Return what the page of a month's machines shows."""
        found = machines(self.start, self.end, scope=self.scope)
        models, cards = (read(table, self.request, rows) for table, rows in both)
        chargeback = f"{reverse('chargeback:month')}?month={self.month:%Y-%m}"
        return self._shared(found) | {
            "title": f"Machines {self.month:%B %Y}",
            "crumbs": [("Chargeback", chargeback), ("Machines", "")],
            "models": models,
            "cards": cards,
        }

    def _shared(self, found: Machines) -> dict[str, object]:
        """Return what both pages say of the month."""
        fresh = freshness.metered_words(self.start, self.end, self.moment)
        waiting = freshness.quarantine_count(self.start, self.end, self.scope)
        return {
            "lead": f"Only team {self.scope.team} is shown to you." if self.scope.team else "",
            "sees_all": self.scope.team is None,
            "month": self.month,
            "months": months_to_choose(self.month, self.moment),
            "simulated": self._simulated(found),
            "machines": found,
            "as_of": fresh,
            "quarantine": words.quarantined(waiting),
            "footer": [
                fresh,
                f"{waiting:,} in quarantine",
                freshness.prices_words(self.start, self.end, self.moment),
                f"machines {found.note}",
            ],
        }

    def _changes(self) -> tuple[str, str]:
        """Return the change of the machines' cost and of the price list, in words."""
        days = comparison.same_days(self.month, self.moment)
        return (
            comparison.of_machines(days, self.scope).words,
            comparison.of_prices(days, self.scope).words,
        )

    def _simulated(self, found: Machines) -> Simulated:
        lines = MonthlyLine.objects.filter(month=self.month, version__in=self.played)
        if self.scope.team is not None:
            lines = lines.filter(team=self.scope.team)
        return Simulated(
            engine=bool(self.played) and lines.exists(),
            machines=found.has_simulated_machines,
            prices=found.has_simulated_prices,
        )

    def _way(self, by: str) -> str:
        return tables.path_url(self.path, **({"by": by} if by else {}))


def _path(request: SignedIn, chosen: date, scope: queries.Scope) -> Path:
    """Return the path that the address names. Raises Http404 for a kind that does not exist."""
    given = {name: request.GET[name] for name in WHOLE_LINE if request.GET.get(name)}
    named = {name: "" if value == NONE else value for name, value in given.items()}
    if named.get("kind", Kind.WORK) not in KINDS:
        raise Http404("There is no such part of a month.")
    return Path(chosen, scope, **named)


def _trail(path: Path) -> list[tuple[str, str]]:
    """Return the way from the whole month to a path: words and address, the last without one."""
    step = Path(path.month, path.scope)
    found = [("The whole month", step)]
    for name, value in path.chosen.items():
        chosen: dict[str, Any] = {name: value}
        step = replace(step, **chosen)
        found.append((tables.words_of(name, value), step))
    return [(label, "" if each == path else tables.path_url(each)) for label, each in found]


def _actions(user: User, chosen: date, moment: datetime) -> list[dict[str, str]]:
    """Return what can be done with the month: finance may ask to close one that is over."""
    if not user.has_role(Role.FINANCE) or month_bounds(chosen)[1] > moment:
        return []
    url = reverse("chargeback:month_close_create", args=[f"{chosen:%Y-%m}"])
    return [{"label": "Close the month", "url": url, "icon": "lock"}]


def _focus_files(user: User, chosen: date) -> list[tuple[str, str]]:
    """Return the month's FOCUS exports, words and address, for those who see all money."""
    if not user.has_role(*SEES_ALL_MONEY):
        return []
    url = reverse("chargeback:focus_export", args=[f"{chosen:%Y-%m}"])
    bases = {"LIST": "price list", "COST": "machine cost", "COMMITMENT": "commitments"}
    return [
        (f"{words}, {version}", f"{url}?{urlencode({'basis': basis, 'version': version})}")
        for basis, words in bases.items()
        for version in VERSIONS
    ]
