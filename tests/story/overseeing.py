"""Finance, the auditor, the platform engineer, and the person who has no role: what each of them
reads.
"""

from __future__ import annotations

import re
from collections import Counter
from decimal import Decimal

from playwright.sync_api import expect

from tests.story import money
from tests.story.calls import MODEL, Ledger
from tests.story.people import Person

TEAM = "claims-review"
PRICES = {"Input": 0, "Cached input": 1, "Output": 2}  # cell of the row that its model heads


def see_charged(finance: Person, before: list[money.Line], ledger: Ledger, *, version: str) -> None:
    """See on the chargeback page exactly what the answers said they used, at the price of the price
    page.
    """
    wanted = money.expected(money.sums(before), ledger)
    found = money.wait_until(lambda: money.sums(money.month(finance)), wanted, seconds=60)
    assert found == wanted
    lines = money.month(finance)
    others = [
        sum(int(line["metered_calls"]) for line in rows if line["team"] != TEAM)
        for rows in (before, lines)
    ]
    assert others[0] == others[1], "a call was charged to another team than the token's"
    finance.open("/chargeback/")
    table = finance.page.get_by_role("region", name="Every line of the month")
    foot = table.get_by_role("row", name=re.compile("^Total of"))
    cells = [cell.replace(",", "") for cell in foot.get_by_role("cell").all_inner_texts()]
    shown = [cell for cell in cells if cell.strip()]
    order = ("metered_calls", "unmetered_calls", "refused_calls", "failed_calls", "input_tokens",
             "cached_input_tokens", "output_tokens")  # fmt: skip
    assert shown[1:8] == [str(wanted[name]) for name in order]  # after the money
    row = finance.page.get_by_role("row", name=re.compile(rf"^CC-4100 {TEAM} {MODEL} {version}\b"))
    expect(row).to_be_visible()
    assert money.cost(lines) - money.cost(before) == priced(finance, ledger)
    finance.shot("chargeback")


def priced(finance: Person, ledger: Ledger) -> Decimal:
    """Return what the answers' tokens cost at the prices that the price page shows."""
    finance.open("/chargeback/rates/")
    row = finance.page.get_by_role("row", name=re.compile(f"^{MODEL} .*In force"))
    cells = row.get_by_role("cell").all_inner_texts()
    rate = {name: Decimal(cells[column].replace("$", "")) for name, column in PRICES.items()}
    finance.shot("prices")
    finance.open("/chargeback/")
    used = ledger.total()
    uncached = (used.input - used.cached) * rate["Input"]
    return (
        uncached + used.cached * rate["Cached input"] + used.output * rate["Output"]
    ) / 1_000_000


def see_spent(lead: Person, grant: str) -> None:
    """See as the team's lead what the team spent, of which budget."""
    lead.open(grant)
    lead.sees(re.compile(r"(< \$0\.01|\$0\.\d\d) of \$25\.00"))
    lead.shot("grant")


def see_calls(finance: Person, ledger: Ledger, before: int) -> None:
    """See every call once in the list of calls."""
    rows = money.csv_lines(finance, "/usage/?format=csv")
    assert len(rows) - before == len(ledger.usages) + ledger.unmetered + ledger.refused
    assert len({row["event_id"] for row in rows}) == len(rows)
    finance.open("/usage/?outcome=UNMETERED")
    expect(finance.page.get_by_role("cell", name="Unmetered").first).to_be_visible()
    finance.shot("usage-unmetered")


def events_about(auditor: Person, *targets: str) -> Counter[str]:
    """Return how often each action was recorded about the objects with these ids."""
    found: Counter[str] = Counter()
    for target in targets:
        auditor.open(f"/audit/?target_id={target}")
        expect(auditor.page.locator("#table-audit tbody tr").first).to_be_visible()
        where = f"/audit/?target_id={target}&columns=code&format=csv"
        found.update(row["Action code"] for row in money.csv_lines(auditor, where))
    return found


def id_of(address: str) -> str:
    """Return the id at the end of a page's address."""
    return address.strip("/").rpartition("/")[2]


def sees_what_is_missing(person_without_role: Person) -> None:
    """See a page that says which groups give a role, and nothing else of the portal."""
    expect(person_without_role.page.get_by_role("heading", level=1)).to_contain_text(
        "You have no access yet"
    )
    for group in ("qm-team-leads", "qm-reviewers"):
        expect(person_without_role.page.get_by_role("cell", name=group)).to_be_visible()
    person_without_role.open(f"/catalog/{MODEL}/", status=403)
    expect(person_without_role.page.get_by_role("heading", level=1)).to_contain_text(
        "You have no access yet"
    )
    person_without_role.shot("no-access")
