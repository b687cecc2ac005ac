"""The pages and the API of suites."""

import json

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from rest_framework.test import APIClient

from apps.evals.models import EvalSuite
from apps.evals.suites import actions, pages, shipped
from apps.evals.suites.uploads import read_upload
from tests.evals.suites import samples
from tests.evals.suites.test_actions import WHY, approve, ask
from tests.factories import NOW
from tests.pages import joined

pytestmark = pytest.mark.django_db


@pytest.fixture
def asked(alice, registered_model):
    return ask(alice, registered_model)


@pytest.fixture
def page(client):
    """Return a page as a person sees it."""

    def show(person, name, *arguments, status=200, **query):
        client.force_login(person)
        answer = client.get(reverse(f"evals:{name}", args=arguments), query)
        assert answer.status_code == status
        return joined(answer.content)

    return show


class TestList:
    def test_shows_every_revision_with_whom_it_judges(self, page, charlie, asked):
        actions.ensure_suite(suite=shipped.load(), now=NOW, judges=[EvalSuite.ANY])
        found = page(charlie, "suite_list")
        for words in ("Codes of claims", "Waits for a reviewer", "prior-auth-extract",
                      "small models", "every model that no other suite names"):  # fmt: skip
            assert words in found
        assert "Upload a suite" not in found

    def test_leads_an_owner_to_the_upload(self, page, alice):
        assert "Upload a suite" in page(alice, "suite_list")


class TestDetail:
    def test_says_what_decides_in_words(self, page, carol, alice, registered_model):
        rule = {"confidence": 0.9, "not_worse_by": {"f1": 0.02, "over_refusal": 0.01}}
        suite = ask(alice, registered_model, rule=rule)
        found = page(carol, "suite_detail", suite.pk)
        for words in (
            "at least 0.700",
            "90 % sure",
            "F1 of codes is not lower than the serving version&#x27;s by more than 0.020.",
            "Refused without need is not higher than",
            "Approve: it judges its models",
            WHY,
            "A statement is supported where",
        ):
            assert words in found, words

    def test_searches_its_packets(self, page, charlie, registered_model):
        small = actions.ensure_suite(suite=shipped.load(), now=NOW)
        everything = page(charlie, "suite_detail", small.pk)
        assert "packet-001" in everything and "24 packets" in everything
        found = page(charlie, "suite_detail", small.pk, q="illegible fax nowhere")
        assert "packet-001" not in found
        assert "packet-006" in page(charlie, "suite_detail", small.pk, q="A4239")

    def test_compares_with_another_revision(self, page, charlie, alice, carol, registered_model):
        first = approve(ask(alice, registered_model), carol)
        second = approve(ask(alice, registered_model, thresholds={"f1": {"minimum": 0.9}}), carol)
        other = [samples.packet(pages=2), samples.packet(id="p-2")]
        third = ask(alice, registered_model, packets=other)
        found = page(charlie, "suite_detail", second.pk)
        assert "Compared with revision 1" in found and "The packets are the same." in found
        assert "0.9" in found
        assert "1 new, 0 gone, 1 changed" in page(charlie, "suite_detail", third.pk)
        found = page(charlie, "suite_detail", third.pk, against=first.pk)
        assert "Compared with revision 1" in found
        page(charlie, "suite_detail", third.pk, against=10**6, status=404)
        compared = pages.compare(first, third)
        assert (compared.added, compared.removed, compared.changed) == (["p-2"], [], ["p-1"])

    def test_takes_one_query_more_for_no_packet(self, page, charlie, asked):
        packet = page(charlie, "suite_packet", asked.pk, "p-1")
        assert '<mark class="mark-gold" title="E11.9">type 2 diabetes</mark>' in packet
        page(charlie, "suite_packet", asked.pk, "p-9", status=404)


class TestPieces:
    def test_keep_the_text_whole_and_mark_what_is_known(self):
        for packet in shipped.load().packets:
            cut = pages.pieces(packet)
            assert "".join(piece.text for piece in cut) == packet.text
        planted = next(packet for packet in shipped.load().packets if packet.planted)
        kinds = {piece.kind for piece in pages.pieces(planted)}
        assert {"gold", "planted", ""} <= kinds


class TestCreate:
    def post(self, client, person, **data):
        client.force_login(person)
        sent = {"justification": WHY, "declared": "on"} | data
        return client.post(reverse("evals:suite_create"), sent)

    def test_takes_a_file(self, client, alice, registered_model):
        content = samples.lines(samples.packet(), model=registered_model.name)
        answer = self.post(client, alice, file=SimpleUploadedFile("suite.jsonl", content))
        suite = EvalSuite.objects.get()
        assert answer.url == reverse("evals:suite_detail", args=[suite.pk])
        assert (suite.requested_by, suite.justification) == (alice, WHY)

    def test_names_each_problem_and_keeps_nothing(self, client, alice, registered_model):
        bad = samples.lines(
            samples.packet(id="?"), samples.packet(text="SSN 512-45-6789"),
            model=registered_model.name,
        )  # fmt: skip
        answer = self.post(client, alice, document=bad.decode())
        said = joined(answer.content)
        assert answer.status_code == 422
        assert "Line 2: packet 1: id has lower-case letters" in said
        assert "Line 3: packet 2, text, line 1, column 5 of its text: this looks like" in said
        assert "Line 3: packet 2: a section begins with words" in said
        assert not EvalSuite.objects.exists()

    def test_needs_a_document_and_the_declaration(self, client, alice, registered_model):
        said = joined(self.post(client, alice).content)
        assert "Choose a file, or write the suite below." in said
        content = samples.document(model=registered_model.name).decode()
        answer = self.post(client, alice, document=content, declared="")
        assert answer.status_code == 422 and not EvalSuite.objects.exists()

    def test_starts_from_another_suite(self, page, alice, registered_model):
        small = actions.ensure_suite(suite=shipped.load(), now=NOW)
        assert "my-prior-auth-small" in page(alice, "suite_create", of=small.pk)
        own = json.loads(pages.document(small)) | {"judges": [registered_model.name]}
        assert read_upload(json.dumps(own).encode()).packets_of == "prior-auth-small"
        page(alice, "suite_create", of="9" * 5000)
        page(alice, "suite_create", of=10**6, status=404)


class TestApi:
    def caller(self, user):
        client = APIClient()
        client.force_authenticate(user)
        return client

    def test_takes_lists_and_decides(self, alice, carol, charlie, registered_model):
        body = {
            "document": samples.document(model=registered_model.name).decode(),
            "justification": WHY, "declared_free_of_member_data": True,
        }  # fmt: skip
        made = self.caller(alice).post("/api/v1/evaluation-suites", body, format="json")
        assert made.status_code == 201
        address = f"/api/v1/evaluation-suites/{made.json()['id']}"
        listed = self.caller(charlie).get("/api/v1/evaluation-suites?status=PENDING").json()
        assert [row["slug"] for row in listed["results"]] == ["claims-codes"]
        packets = self.caller(charlie).get(f"{address}/packets").json()["results"]
        assert [(row["id"], row["content"]["codes"][0]["code"]) for row in packets] == [
            ("p-1", "E11.9"),
        ]  # fmt: skip
        reason = {"reason": "Good packets."}
        assert (
            self.caller(alice).post(f"{address}/approve", reason, format="json").status_code == 403
        )
        assert self.caller(carol).post(f"{address}/approve", {}, format="json").status_code == 400
        done = self.caller(carol).post(f"{address}/approve", reason, format="json")
        assert (done.status_code, done.json()["status"]) == (200, "APPROVED")
        again = self.caller(carol).post(f"{address}/reject", reason, format="json")
        assert (again.status_code, again.json()["code"]) == (409, "already_decided")
        assert self.caller(carol).post(f"{address}/praise", {}, format="json").status_code == 404
        assert self.caller(charlie).get(address).json()["decided_by"] == carol.username

    def test_names_problems_by_line(self, alice, registered_model):
        content = samples.lines(samples.packet(codes=["?"]), model=registered_model.name)
        body = {
            "document": content.decode(), "justification": WHY,
            "declared_free_of_member_data": True,
        }  # fmt: skip
        answer = self.caller(alice).post("/api/v1/evaluation-suites", body, format="json")
        assert answer.status_code == 400
        assert "Line 2: packet 1: one of its codes is no ICD-10-CM" in str(answer.json())
        body["declared_free_of_member_data"] = False
        body["document"] = samples.document(model=registered_model.name).decode()
        answer = self.caller(alice).post("/api/v1/evaluation-suites", body, format="json")
        assert (answer.status_code, answer.json()["code"]) == (409, "cannot_take_suite")
