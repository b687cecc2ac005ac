"""The pages of money and of usage that the bench asks for: every address of the app that answers
GET, and what people do most with its tables.
"""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

from tests.benchmarks.plans import plans_of, table_sizes
from tests.benchmarks.report import Result
from tests.benchmarks.stopwatch import p95, timed

ROUNDS = int(os.environ.get("ROUNDS", "20"))
PAGE_MS, EXPORT_MS = 100, 10_000
NO_PAGE = 405  # what a form posts to, and nothing else

TEAM = "squad-7"
MODEL = "model-2"


@dataclass(frozen=True)
class Page:
    """A page as one person asks for it. is_export: it answers with every row, as a file."""

    name: str
    url: str
    client: Any
    is_export: bool = False


@dataclass(frozen=True)
class Subjects:
    """The rows that pages are about: name of an address → the values in it."""

    month: date
    values: dict[str, dict[str, object]]


def page_results(subjects: Subjects) -> tuple[list[Result], dict[str, Any]]:
    """Ask for every page ROUNDS times, and for every export once; return their times, whose ratio
    is to a page without money, and the plans of the pages' statements.
    """
    asked, sizes = pages(subjects), table_sizes()
    bare, _ = _took(Page("style", "/style/", asked[0].client))
    results, plans = [], {}
    for page in asked:
        if page.is_export:
            ms = 1000 * timed(lambda page=page: _ask(page))
            results.append(Result(page.name, round(ms), "ms", EXPORT_MS, round(ms / bare, 2)))
            continue
        if page.client.get(page.url).status_code == NO_PAGE:
            continue
        ms, cpu_ms = _took(page)
        words = f"{page.name}, p95 of {ROUNDS}"
        results.append(Result(words, round(ms, 1), "ms", PAGE_MS, round(ms / bare, 2)))
        found = plans_of(lambda page=page: _ask(page), sizes)
        print(f"{page.name}: {found.words}", flush=True)
        plans[page.name] = found.plain | {"python_cpu_ms": round(cpu_ms, 1)}
    whole = sum(bool(found["sequential_scans"]) for found in plans.values())
    results.append(Result("pages that read a big table from end to end", whole, "pages", 0))
    return results, plans | {"not asked for": not_asked(subjects)}


def _took(page: Page) -> tuple[float, float]:
    """Return the p95 of a page, after one that counts nothing, and the processor time that one
    takes in this process, the database's left out; in milliseconds.
    """
    _ask(page)
    begun = time.process_time()
    seconds = [timed(lambda: _ask(page)) for _ in range(ROUNDS)]
    return 1000 * p95(seconds), 1000 * (time.process_time() - begun) / ROUNDS


def _ask(page: Page) -> None:
    """Ask for a page and read all of it. Raises RuntimeError where it is not answered with 200."""
    answer = page.client.get(page.url)
    if answer.status_code != 200:
        raise RuntimeError(f"{page.url} answered {answer.status_code}")
    if answer.streaming:
        for _ in answer:
            pass


def pages(subjects: Subjects) -> list[Page]:
    """Return the pages to ask for."""
    from django.urls import reverse
    from rest_framework.test import APIClient

    from apps.accounts.models import Role, Team
    from tests.factories import UserFactory

    reader = UserFactory(username="reads everything", with_roles=[Role.FINANCE])
    finance, api = _client(reader), APIClient()
    api.force_authenticate(reader)
    team = Team.objects.get(slug=TEAM)
    lead = _client(UserFactory(username="leads", team=team, with_roles=[Role.TEAM_LEAD]))
    month = f"month={subjects.month:%Y-%m}"
    home, usage = reverse("chargeback:month"), reverse("metering:usage_list")
    days = f"since={subjects.month:%Y-%m-%d}&until={subjects.month:%Y-%m}-28"
    asked = [
        Page("month", f"{home}?{month}", finance),
        Page("month, every day of a team", f"{home}?{month}&by=day&team={TEAM}", finance),
        Page("month, every line", f"{home}?{month}&by=line", finance),
        Page("month, every line by tokens", f"{home}?{month}&by=line&sort=-input_tokens", finance),
        Page("month, every line, page 3", f"{home}?{month}&by=line&page=3", finance),
        Page("month, one team searched", f"{home}?{month}&by=line&q={TEAM}", finance),
        Page("month of a team's lead", f"{home}?{month}", lead),
        Page("month by API", f"/api/v1/chargeback/{subjects.month:%Y-%m}", api),
        Page("month as CSV", f"{home}?{month}&by=line&format=csv", finance, is_export=True),
        Page("calls", usage, finance),
        Page("calls of a team in a month", f"{usage}?{days}&team={TEAM}", finance),
        Page("calls of a team's lead", usage, lead),
        Page("usage of a model", reverse("metering:model_usage", args=[MODEL]), finance),
        Page("quarantine", reverse("metering:quarantine_list"), finance),
    ]
    asked += [Page(name, url, finance, "export" in name) for name, url in _addresses(subjects)]
    return asked


def not_asked(subjects: Subjects) -> list[str]:
    """Return the addresses of the app whose subject the bench does not make."""
    return [name for name, parts in _parts() if parts and name not in subjects.values]


def _addresses(subjects: Subjects) -> Iterator[tuple[str, str]]:
    """Yield name and address of the app's addresses that answer GET."""
    from django.urls import reverse

    for name, parts in _parts():
        if parts and name not in subjects.values:
            continue
        url = reverse(f"chargeback:{name}", kwargs=subjects.values.get(name))
        yield name.replace("_", " "), url


def _parts() -> Iterator[tuple[str, bool]]:
    """Yield the names of the app's addresses that answer GET, and whether values are in them."""
    from apps.chargeback.urls import urlpatterns

    posts = ("approve", "reject", "withdraw", "end")
    for pattern in urlpatterns:
        name = str(pattern.name)
        if not name.endswith(posts):
            yield name, bool(pattern.pattern.converters)


def _client(user: Any) -> Any:
    from django.test import Client

    client = Client()
    client.force_login(user)
    return client
