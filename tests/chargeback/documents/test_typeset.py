"""A statement's PDF, read back by another program."""

import csv
import io
import pickle
import subprocess
import sys
from dataclasses import replace
from decimal import Decimal

import pikepdf
import pytest

from apps.chargeback.documents import typeset as setting
from apps.chargeback.documents.facts import facts_of
from apps.chargeback.documents.typeset import CannotSet, typeset
from apps.chargeback.focus.rules import NotFocus
from apps.chargeback.method import METHOD
from apps.metering.backfill.actions import begin_backfill
from portal.settings import BASE_DIR
from tests.chargeback.months import AFTER, END, START

ELSEWHERE = """
import pickle, sys
import tests.environment
import django; django.setup()
from apps.chargeback.documents.typeset import typeset
print(typeset(pickle.load(sys.stdin.buffer)).sha256)
"""


def opened(statement):
    return pikepdf.open(io.BytesIO(typeset(facts_of(statement)).body))


def fonts_of(pdf):
    """Return every font that some page uses: its name, and whether it is within the file."""
    found = {}
    for page in pdf.pages:
        for font in page.resources.get("/Font", {}).values():
            (descendant,) = font.DescendantFonts
            descriptor = descendant.FontDescriptor
            is_within = "/FontFile2" in descriptor or "/FontFile3" in descriptor
            found[str(descriptor.FontName)] = is_within
    return found


class TestPdf:
    def test_is_the_same_whenever_and_wherever_it_is_made(self, october):
        facts = [facts_of(statement) for statement in october]
        here = [typeset(one).sha256 for one in facts]
        assert [typeset(facts_of(statement)).sha256 for statement in october] == here
        assert len(set(here)) == 3
        told = subprocess.run(
            [sys.executable, "-c", ELSEWHERE], input=pickle.dumps(facts[1]), cwd=BASE_DIR,
            capture_output=True, check=True,
        )  # fmt: skip
        assert told.stdout.decode().split()[-1] == here[1]

    def test_is_a_file_to_keep_that_can_be_read_aloud(self, october):
        with opened(october[2]) as pdf:
            about = pdf.open_metadata()
            assert (about["pdfaid:part"], about["pdfaid:conformance"]) == ("3", "B")
            assert about["pdfuaid:part"] == "1"
            assert about["dc:title"] == "Statement 2026-10-003, October 2026, CC-4200"
            assert str(pdf.Root.Lang).startswith("en")
            assert pdf.Root.MarkInfo.Marked and "/StructTreeRoot" in pdf.Root

    def test_has_the_fonts_of_the_pages_and_no_other(self, october):
        with opened(october[2]) as pdf:
            found = fonts_of(pdf)
        assert len(found) == 2 and all(found.values())
        assert {name.partition("+")[2] for name in found} == {"Inter-Regular", "Inter-SemiBold"}

    def test_holds_its_rows_which_come_to_what_it_says(self, november):
        for statement in november:
            with opened(statement) as pdf:
                files = {
                    name: file.get_file().read_bytes() for name, file in pdf.attachments.items()
                }
            for basis, total in (("list", statement.list_usd), ("cost", statement.cost_usd)):
                body = files[f"focus-1.2-{basis}-{statement.number}.csv"].decode()
                rows = list(csv.DictReader(io.StringIO(body)))
                assert sum(Decimal(row["BilledCost"]) for row in rows) == total
                assert {row["InvoiceId"] for row in rows} <= {statement.number}
            assert len(files) == 2


class TestOfASample:
    def test_is_marked_on_every_page_and_in_its_title(self, october):
        begin_backfill(name="s", since=START, until=END, is_sample=True, now=AFTER)
        facts = facts_of(october[1])
        assert facts.words["sample"].startswith("Sample. ")
        with opened(october[1]) as pdf:
            assert pdf.open_metadata()["dc:title"].startswith("Sample: Statement 2026-10-002, ")

    def test_is_said_where_it_corrects_a_month_of_it_alone(self, november):
        assert {facts_of(one).words["sample"] for one in november} == {""}
        begin_backfill(name="s", since=START, until=END, is_sample=True, now=AFTER)
        one = facts_of(november[1])
        assert one.words["sample"].startswith("Sample. ")
        assert [line[0] for line in one.words["corrections"]] == ["October 2026"] * 2

    def test_adds_no_byte_to_what_is_none(self, october):
        facts = facts_of(october[1])
        assert facts.words["sample"] == ""
        plain = typeset(facts).body
        begin_backfill(name="real", since=START, until=END, is_sample=False, now=AFTER)
        begin_backfill(name="s", since=END, until=AFTER, is_sample=True, now=AFTER)
        assert typeset(facts_of(october[1])).body == plain


class TestFacts:
    def test_say_both_bases_and_what_idled(self, october):
        nobodys, one, two = (facts_of(statement).words for statement in october)
        assert [figure[1] for figure in two["figures"]] == ["$6.47", "$2.24", "$4.23", "15.8 %"]
        assert two["models"] == [
            ["chat", "$6.43", "$0.24", "$6.19", "86.6 %"],
            ["embed", "$0.04", "$2.00", "−$1.96", "75.0 %"],
            ["Total", "$6.47", "$2.24", "$4.23", ""],
        ]
        assert two["whole"] == one["whole"] == nobodys["whole"]
        assert (two["whole"][1], two["whole_total"]) == (
            ["Idle replicas", "$14.66", "15.8 %"], "$92.50",
        )  # fmt: skip
        assert {line[2] for line in nobodys["cost_lines"]} == {
            "GPUs without a replica", "Platform", "Idle replicas", "Starting replicas",
        }  # fmt: skip

    def test_say_who_closed_it_and_how(self, october):
        facts = facts_of(october[1])
        about = dict(facts.words["about"])
        assert about["Closed by"] == "Closes, 03 Nov 2026 00:00 UTC"
        assert about["Asked for by"] == "Asks, 03 Nov 2026 00:00 UTC"
        assert about["Method of sharing"] == f"{METHOD.id}, version {METHOD.version}"
        assert about["Digest of the statement"] == october[1].digest
        assert about["Digest of the month"] == october[1].close.digest
        assert facts.words["method"] == METHOD.text
        assert [said[2] for said in facts.words["accepted"]] == ["As agreed."]

    def test_name_every_correction_with_its_month(self, november):
        _, late = november
        words = facts_of(late).words
        assert words["corrections"] == [
            ["October 2026", "Price list", "late", "chat-v1", "Output", "900,000", "$0.99"],
            ["October 2026", "Machine cost", "late", "chat-v1", "Used by calls", "0.04 h", "$0.04"],
        ]
        assert words["models"] == [
            ["Corrections of earlier months", "$0.99", "$0.04", "$0.95", ""],
            ["Total", "$0.99", "$0.04", "$0.95", ""],
        ]

    def test_stay_as_they_are_when_the_ledger_or_a_name_changes(self, october, november):
        before = typeset(facts_of(october[1])).sha256
        person = october[1].close.decided_by
        person.name = "Somebody Else"
        person.save(update_fields=["name"])
        assert typeset(facts_of(october[1])).sha256 == before


class TestWhatCannotBeSet:
    def test_names_the_letter(self, october):
        facts = facts_of(october[1])
        odd = replace(facts, words=facts.words | {"cost_center": "临床 Łódź"})
        with pytest.raises(CannotSet, match="临"):
            typeset(odd)
        assert typeset(replace(facts, words=facts.words | {"cost_center": "Łódź, Größe, Ελλάς"}))

    def test_runs_nothing_of_what_it_is_told(self, october):
        facts = facts_of(october[1])
        told = '#read("/etc/passwd") #panic() $x$ *b* `c` <l> @r'
        pdf = typeset(replace(facts, words=facts.words | {"cost_center": told}))
        with pikepdf.open(io.BytesIO(pdf.body)) as opened_pdf:
            assert told in opened_pdf.open_metadata()["dc:title"]

    def test_says_that_there_are_no_fonts(self, october, monkeypatch, tmp_path):
        monkeypatch.setattr(setting, "fonts", lambda: tmp_path)
        with pytest.raises(CannotSet, match="make assets"):
            typeset(facts_of(october[1]))

    def test_is_told_by_the_rule_that_its_rows_break(self, october, settings):
        settings.BILLING_ACCOUNT_ID = ""
        with pytest.raises(NotFocus, match="BillingAccountId holds nothing"):
            facts_of(october[1])
