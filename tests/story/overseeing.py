"""Finance, the auditor, the platform engineer, and the person who has no role: what each of them
reads.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
import zipfile
from collections import Counter
from decimal import Decimal
from pathlib import Path

from playwright.sync_api import expect

from tests.story import money
from tests.story.calls import MODEL, Ledger
from tests.story.people import Person

TEAM = "claims-review"
# a count → its head on the page
HEADS = {
    "metered_calls": "Calls", "unmetered_calls": "Unmetered", "refused_calls": "Refused",
    "failed_calls": "Failed", "input_tokens": "Tokens in", "cached_input_tokens": "Cached",
    "output_tokens": "Tokens out",
}  # fmt: skip
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
        sum(int(line["metered_calls"] or 0) for line in rows if line["team"] != TEAM)
        for rows in (before, lines)
    ]
    assert others[0] == others[1], "a call was charged to another team than the token's"
    finance.open(money.LINES)
    table = finance.page.locator("[id^=table-chargeback]")
    heads = [head.strip() for head in table.locator("thead th").all_inner_texts()]
    sums = [
        cell.strip().replace(",", "") for cell in table.locator("tfoot tr > *").all_inner_texts()
    ]
    shown = dict(zip(heads, sums, strict=True))
    assert {name: shown[head] for name, head in HEADS.items()} == {
        name: str(wanted[name]) for name in HEADS
    }
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
    """See every call once in the list of calls, and take into the ledger what was counted of those
    that somebody left: vLLM tells with each piece what was used up to it, the stand-in does not.
    """
    rows: list[money.Line] = []

    def look() -> int:
        rows[:] = money.csv_lines(finance, "/usage/?columns=basis,cached&format=csv")
        return len(rows) - before

    wanted = len(ledger.usages) + ledger.unmetered + ledger.refused
    assert money.wait_until(look, wanted, seconds=60) == wanted
    assert len({row["event_id"] for row in rows}) == len(rows)
    for row in rows:
        if row["basis"] == "COUNTED":
            ledger.count(*(int(row[name] or 0) for name in money.COUNTS[4:]))
    if ledger.unmetered:
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


def takes_the_record_away(auditor: Person, folder: Path) -> None:
    """Have the record read again, take it away, and verify it without the portal."""
    auditor.open("/audit/record/")
    _reload_until(auditor, "Anchored", seconds=90)
    auditor.press("Read all of the record again now")
    auditor.sees("The record is being read again.")
    _reload_until(auditor, "Nothing wrong", seconds=60)
    auditor.shot("record")
    for path, name in (("part", "part.qmr.gz"), ("key", "key.pem"), ("verifier", "verifier.zip")):
        answer = auditor.context.request.get(f"{auditor.stack.portal}/audit/record/{path}/")
        assert answer.status == 200, f"{path}: {answer.status}"
        (folder / name).write_bytes(answer.body())
    zipfile.ZipFile(folder / "verifier.zip").extractall(folder)
    command = [sys.executable, "-I", "verifier/verify.py", "part.qmr.gz", "--key", "key.pem"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env={})
    assert done.returncode == 0, done.stdout + done.stderr
    assert "are what was signed" in done.stdout


def _reload_until(auditor: Person, words: str, *, seconds: float) -> None:
    """Load the record's page again until one of its figures says `words`."""
    until = time.monotonic() + seconds
    figures = auditor.page.locator(".stats .badge")
    while words not in (said := [text.strip() for text in figures.all_inner_texts()]):
        assert time.monotonic() < until, said
        time.sleep(1)
        auditor.open("/audit/record/")


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
