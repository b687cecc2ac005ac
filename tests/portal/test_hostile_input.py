"""What no honest client sends: answered with a 4xx, or ignored; never an error of ours."""

import csv
import io
from urllib.parse import quote
from uuid import uuid4

import pytest
from django.db import transaction
from django.test import Client
from django.urls import reverse

from apps.accounts.models import Team
from apps.chargeback.actions import price_due_days
from apps.metering.models import HourlyUsage
from portal.parsers import MAX_JSON_BYTES
from tests.database import as_owner
from tests.factories import NOW, create_event
from tests.portal import cast
from tests.portal.test_matrix import DOORS, JSON, filled

pytestmark = pytest.mark.django_db
PARAMETERS = (
    "q", "page", "status", "format", "view", "task", "family", "data_class", "license", "version",
    "outcome", "model",
    "month", "by", "from", "to", "actor", "action", "target_type", "target_id", "team", "cursor",
    "next", "fresh",
)  # fmt: skip
ODD = (
    "%00", "a%00b", "%ff%fe", "%ed%a0%80", "'", "%25",
    "\\", "9" * 5000, "-1", "0", "1e999", "inf", "nan", "x" * 8000,
    "x-v" + "9" * 5000, "2026-11-", "0001-01", "9999-12", "9999-12-31", "0001-01-01", "csv", "cD14",
    "cD0lMDA=",
    "bz05OTk5OTk5OTk5OTk=", "%0d%0aSet-Cookie:%20a=b", "{{7*7}}", "<script>alert(1)</script>", "٣",
    "²",
)  # fmt: skip
READS = {
    "/search/": "q", "/catalog/": "q page task version", "/access/": "q page",
    "/evaluations/": "q page",
    "/promotions/": "q page", "/usage/": "q page model", "/chargeback/": "month page",
    "/chargeback/rates/": "page",
    "/audit/": "q page from to actor target_id", "/fleet/intervals.csv": "from to",
    "/api/v1/evaluation-runs": "cursor model version",
    "/api/v1/models": "cursor", "/api/v1/models/extract/versions": "cursor",
    "/api/v1/access-requests": "cursor",
    "/api/v1/promotions": "cursor",
}  # fmt: skip
LISTS = [
    door
    for door in DOORS
    if door.method == "GET" and door.name != "oidc_authentication_init" and not door.data
]
WRITES = [door for door in DOORS if door.method in ("POST", "PUT")]


def address(door, world):
    return reverse(door.name, args=[filled(arg, world.ids) for arg in door.args])


def some_of(odd, number, apart):
    """Return each `apart`th of what is odd, beginning elsewhere for the next number: every one of
    them knocks at many doors, no door hears all of them.
    """
    return odd[number % apart :: apart]


BEARER = {"Authorization": "Bearer platform"}


class TestQueries:
    @pytest.mark.parametrize("door", LISTS, ids=str)
    def test_are_never_an_error_of_ours(self, door, world):
        client = world.client("platform")
        for odd in some_of(ODD, LISTS.index(door), 6):
            value = odd if "%" in odd else quote(odd)
            query = "&".join(
                f"{name}={value}" for name in PARAMETERS if odd != "csv" or name == "format"
            )
            answer = client.get(f"{address(door, world)}?{query}", headers=BEARER)
            assert answer.status_code < 500, (odd, answer.status_code)
            assert "<script>alert" not in getattr(answer, "content", b"").decode(errors="replace")
            assert "Set-Cookie: a=b" not in str(answer.headers)
            cast.read_out(answer)

    @pytest.mark.parametrize("path", READS)
    def test_one_by_one_neither(self, path, world):
        client = world.client("platform")
        for name in READS[path].split():
            for odd in ODD:
                value = odd if "%" in odd else quote(odd)
                answer = client.get(f"{path}?{name}={value}", headers=BEARER)
                assert answer.status_code < 500, (name, odd, answer.status_code)
                cast.read_out(answer)

    def test_with_nul_are_refused_everywhere(self, world):
        client = world.client("platform")
        for path in (
            "/search/?q=a%00b",
            "/catalog/?task=%00",
            "/api/v1/models?cursor=%00",
            "/%00/",
        ):
            answer = client.get(path, headers=BEARER)
            assert answer.status_code == 400
            assert answer["X-Request-Id"] in answer.content.decode()
        path = f"/api/v1/models/extract/versions/1/files/{quote('a' + chr(0))}?part=1"
        assert client.put(path, b"", headers=BEARER).status_code == 400

    def test_nor_may_a_cookie_hold_it(self):
        client = Client(raise_request_exception=False)
        client.cookies["session"] = "a" * 20 + "\x00"
        assert client.get("/").status_code == 400


class TestBodies:
    BODIES = (
        b"", b"{", b"[]", b"null", b"\xff\xfe", b'"\\ud800"', b"[" * 100_000, b'{"a":' * 50_000,
        b'{"model": "\\u0000"}', b'{"files": [{"name": "a", "size": 1e999}]}',
        b'{"files": [{"name": "\\ud800", "size": 1, "sha256": "\\u0000"}]}',
        b'{"reason": {"a": 1}}', b'{"version": ' + b"9" * 4000 + b"}", b"a=%00&reason=%ff",
    )  # fmt: skip

    @pytest.mark.parametrize("door", WRITES, ids=str)
    def test_are_never_an_error_of_ours(self, door, world):
        persona = "reviewer" if "promotion" in door.name else "owner"
        types = (
            ("application/json", "application/x-www-form-urlencoded")
            if door.sent != JSON
            else ("application/json",)
        )
        for body in some_of(self.BODIES, WRITES.index(door), 3):
            for kind in types:
                with transaction.atomic():  # each meets the world that the first one met
                    call = getattr(world.client(persona), door.method.lower())
                    headers = {"Authorization": f"Bearer {persona}"}
                    answer = call(address(door, world), body, content_type=kind, headers=headers)
                    transaction.set_rollback(True)
                assert answer.status_code < 500, (body[:40], answer.status_code)

    def test_that_are_huge_are_refused_unread(self, world):
        body = b'{"name": "' + b"x" * MAX_JSON_BYTES + b'"}'
        headers = {"Authorization": "Bearer owner"}
        answer = Client().post(
            "/api/v1/models", body, content_type="application/json", headers=headers
        )
        assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


class TestExports:
    """Names come from tokens and from callers: a refused call carries whatever model name its
    caller wrote.
    """

    STARTS = ("=", "+", "-", "@", "\t", "\r")

    def test_hold_no_formula(self, world):
        evil = [f"{start}cmd|' /C calc'!A0"[:32] for start in self.STARTS]
        for name in evil:
            called_by(name)
        price_due_days()
        with as_owner():
            Team.objects.filter(slug="ml-platform").update(name=evil[0])
            world.people["owner"].__class__.objects.filter(username="owner").update(
                username=evil[0], name=evil[0]
            )
        for path, starts in (
            ("/usage/?format=csv", self.STARTS),
            ("/chargeback/?month=2026-11&format=csv", self.STARTS),
            ("/promotions/?format=csv", self.STARTS[:1]),
            ("/audit/?format=csv", ()),
        ):
            answer = world.client("platform").get(path)
            text = b"".join(answer).decode()
            rows = list(csv.reader(io.StringIO(text, newline="")))
            assert [
                cell
                for row in rows
                for cell in row
                if cell.startswith(("=", "+", "-", "@", "\t", "\r"))
            ] == []
            assert [start for start in starts if f"'{start}cmd" not in text] == []


def called_by(name):
    """Count a refused call in which everything that its caller wrote is this name."""
    create_event(
        event_id=uuid4(), occurred_at=NOW, received_at=NOW, received_via="FILE",
        outcome="REFUSED",
        team=name, cost_center=name, model=name, version=name, response_code=404,
    )  # fmt: skip
    HourlyUsage.objects.create(
        hour=NOW.replace(minute=0), cost_center=name, team=name, model=name, version=name,
        metered_calls=0,
        unmetered_calls=0, refused_calls=1, failed_calls=0, input_tokens=0,
        cached_input_tokens=0, output_tokens=0,
        rolled_up_at=NOW,
    )  # fmt: skip
