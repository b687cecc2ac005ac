"""The pages and the API of capacity: who sees them, what they say, what they refuse."""

import csv
import io
import re
from dataclasses import replace
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone
from rest_framework.test import APIClient

from apps.capacity import actions, records
from apps.capacity.models import CapacityRequest
from apps.fleet import actions as fleet
from apps.fleet import sightings
from apps.fleet.models import Node, NodeClaim, NodePool
from apps.manifests.capacity import Budget
from portal.needs.queries import needs_of
from tests.capacity.samples import POOL, WHY, WISH, text_of
from tests.capacity.samples import found as found_in_git
from tests.factories import NOW
from tests.fleet.objects import at, claim, node, pool

pytestmark = pytest.mark.django_db
LIST = "/fleet/capacity/"
FORM = f"/fleet/capacity/{POOL.name}/change/"
API = "/api/v1/fleet/capacity-requests"
BODY = {
    "pool": POOL.name,
    "base": 1,
    "gpus": 96,
    "families": ["g6", "p5"],
    "capacity_types": ["on-demand"],
    "consolidation_policy": "WhenEmpty",
    "consolidate_after": "5m",
    "budgets": [{"nodes": "100%", "reasons": ["Empty"]}],
    "justification": WHY,
}


def page(client, person, url, status=200, **headers):
    client.force_login(person)
    answer = client.get(url, headers=headers)
    assert answer.status_code == status
    return answer.content.decode()


def url_of(view, request):
    return reverse(f"capacity:{view}", args=[request.pk])


def form_data(**change):
    """What a browser sends for the form as the page shows it, with some fields changed."""
    found = {
        "base": "1", "gpus": "96", "cpu": "", "memory_gib": "", "families": ["g6", "p5"],
        "spot_share": "on-demand",
        "consolidation_policy": "WhenEmpty", "consolidate_after_0": "5", "consolidate_after_1": "m",
        "justification": WHY,
        "budgets-TOTAL_FORMS": "4", "budgets-INITIAL_FORMS": "2", "budgets-MIN_NUM_FORMS": "0",
        "budgets-MAX_NUM_FORMS": "50",
        "budgets-0-nodes": "100%", "budgets-0-reasons": ["Empty"], "budgets-0-start": "",
        "budgets-0-duration_0": "", "budgets-0-duration_1": "h", "budgets-0-zone": "UTC",
        "budgets-1-nodes": "", "budgets-1-duration_1": "h",
        "budgets-2-nodes": "0", "budgets-2-reasons": ["Drifted"],
        "budgets-2-days": ["1", "2", "3", "4", "5"], "budgets-2-start": "12:00",
        "budgets-2-zone": "UTC", "budgets-2-duration_0": "12", "budgets-2-duration_1": "h",
        "budgets-3-nodes": "", "budgets-3-zone": "UTC", "budgets-3-duration_1": "h",
    }  # fmt: skip
    return found | change


def many(pete, rita, count):
    for number in range(count):
        asked = actions.request_capacity(
            pool=POOL.name, base=1, wish=replace(WISH, gpus=100 + number), justification=WHY,
            requester=pete,
            now=NOW + timedelta(minutes=number),
        )  # fmt: skip
        actions.reject_capacity(request=asked, approver=rita, reason="No.", now=NOW)


@pytest.fixture
def observed():
    """Two Spot nodes and the pool as the cluster shows it, 7 GPUs in use."""
    fleet.record_seen(model=NodePool, seen=[sightings.node_pool(pool(used="7"))], now=at(40))
    for name in ("node-1", "node-2"):
        fleet.record_seen(model=Node, seen=[sightings.node(node(name=name, uid=name))], now=at(40))
    since = (timezone.now() - timedelta(hours=2) - at(0)).total_seconds()
    seen = sightings.node_claim(claim(second=since, launched=since))
    fleet.record_seen(model=NodeClaim, seen=[seen], now=timezone.now())


@pytest.mark.usefixtures("revision")
class TestCapacityList:
    def test_shows_what_a_pool_may_buy_and_cost_at_most(self, client, pete):
        found = page(client, pete, LIST)
        for words in (
            "Spot first, on-demand where there is no Spot",
            "g5, g6",
            "64",
            "found in Git",
        ):
            assert words in found
        assert "$262.14 per hour" in found  # 64 × 4.096, a g5.16xlarge
        assert "list price, us-east-1, 6 Jul 2026" in found
        assert FORM in found

    @pytest.mark.usefixtures("observed")
    def test_shows_what_is_in_use(self, client, pete):
        assert "7 of 64" in page(client, pete, LIST)

    def test_is_open_to_those_who_decide_or_look_after_it(
        self, client, rita, fiona, alice, charlie
    ):
        for person in (rita, fiona):
            assert "Change gpu-inference…" not in page(client, person, LIST)
        for person in (alice, charlie):
            page(client, person, LIST, status=404)

    def test_leads_reviewers_to_no_page_that_is_not_there_for_them(self, client, rita, pete):
        assert 'href="/fleet/claims/"' not in page(client, rita, LIST)
        assert 'href="/fleet/claims/"' in page(client, pete, LIST)

    def test_shows_what_waits_for_the_person(self, client, asked, rita, pete):
        assert "Waits for you" in page(client, rita, LIST)
        assert "Waits for you" not in page(client, pete, LIST)
        assert url_of("request_detail", asked) in page(client, pete, LIST)

    def test_searches_filters_and_pages(self, client, pete, rita):
        many(pete, rita, 51)
        assert "Page 1 of 2" in page(client, pete, LIST)
        assert "No request fits these filters" in page(client, pete, LIST + "?q=nothing")
        assert "No request fits these filters" in page(client, pete, LIST + "?status=APPLIED")
        assert "Page 1 of 2" in page(client, pete, LIST + "?q=claims&status=REJECTED")
        alone = {"HX-Request": "true", "HX-Target": "table-capacity-requests"}
        fragment = page(client, pete, LIST, **alone)
        assert "<html" not in fragment
        assert "Page 1 of 2" in fragment

    def test_asks_as_many_queries_for_many_as_for_one(
        self, client, pete, rita, django_assert_num_queries
    ):
        client.force_login(pete)
        for rows in (1, 30):
            many(pete, rita, rows)
            # session, person, roles · count, rows · pools 3, needs, what is made up
            with django_assert_num_queries(10):
                client.get(LIST)

    def test_exports_csv_that_no_spreadsheet_takes_for_a_formula(self, client, pete):
        actions.request_capacity(
            pool=POOL.name,
            base=1,
            wish=WISH,
            justification="=cmd|' /C calc'!A0",
            requester=pete,
            now=NOW,
        )
        client.force_login(pete)
        file = b"".join(client.get(LIST + "?format=csv").streaming_content).decode()
        rows = list(csv.DictReader(io.StringIO(file)))
        assert [(row["Pool"], row["State"], row["Why"][:2]) for row in rows] == [
            ("gpu-inference", "PENDING", "'=")
        ]

    def test_says_why_a_pool_cannot_be_changed(self, client, pete):
        text = text_of(POOL).replace("  limits:", "  replicas: 3\n  limits:")
        records.record_found(pool=POOL.name, text=text, now=NOW)
        found = page(client, pete, LIST)
        assert "spec.replicas" in found
        assert FORM not in found
        assert "spec.replicas" in page(client, pete, FORM)


@pytest.mark.usefixtures("revision")
class TestCapacityCreate:
    def test_shows_the_pool_as_it_is(self, client, pete):
        found = page(client, pete, FORM)
        assert 'value="64"' in found
        assert "8 × H200" in found
        assert 'name="budgets-3-nodes"' in found

    def test_asks(self, client, pete):
        client.force_login(pete)
        answer = client.post(FORM, form_data())
        made = CapacityRequest.objects.get()
        assert answer["Location"] == url_of("request_detail", made)
        assert "schedule: 0 12 * * mon-fri" in made.text
        assert made.text.count("- nodes:") == 2

    def test_a_window_in_a_zone_is_kept_in_utc(self, client, pete):
        client.force_login(pete)
        late = {"budgets-2-days": ["5"], "budgets-2-start": "22:00"}
        client.post(FORM, form_data(**late, **{"budgets-2-zone": "America/Denver"}))
        # 22:00 on a Friday in Denver is Saturday morning in UTC, one hour later in winter.
        assert re.search(r"schedule: 0 [45] \* \* sat\n", CapacityRequest.objects.get().text)

    def test_what_stays_the_same_keeps_its_spelling(self, client, pete):
        odd = replace(
            POOL,
            consolidate_after="1h30m",
            budgets=(Budget("1", (), "0 12 * * 1-5", "8h0m"), Budget("0", (), "0 9 1 * *", "1h")),
        )
        records.record_found(pool=POOL.name, text=text_of(odd), now=NOW)
        shown = page(client, pete, FORM)
        assert 'value="90"' in shown
        assert 'value="12:00"' in shown
        assert 'value="0 9 1 * *"' in shown
        client.force_login(pete)
        same = {
            "base": "2", "families": ["g5", "g6"], "spot_share": "spot,on-demand",
            "consolidation_policy": odd.consolidation_policy,
            "consolidate_after_0": "90", "consolidate_after_1": "m",
            "budgets-0-nodes": "1", "budgets-0-reasons": [], "budgets-0-start": "12:00",
            "budgets-0-days": ["1", "2", "3", "4", "5"],
            "budgets-0-duration_0": "8", "budgets-0-duration_1": "h",
            "budgets-1-nodes": "0", "budgets-1-schedule": "0 9 1 * *", "budgets-1-zone": "UTC",
            "budgets-1-duration_0": "60", "budgets-1-duration_1": "m",
            "budgets-2-nodes": "", "budgets-2-reasons": [], "budgets-2-start": "",
            "budgets-2-days": [], "budgets-2-duration_0": "",
        }  # fmt: skip
        client.post(FORM, form_data(**same))
        made = CapacityRequest.objects.get()
        before, after = made.base.text.splitlines(), made.text.splitlines()
        assert [line for line in after if line not in before] == ["    nvidia.com/gpu: '96'"]
        assert [line for line in before if line not in after] == ["    nvidia.com/gpu: '64'"]

    @pytest.mark.usefixtures("observed")
    def test_warns_of_a_limit_below_what_is_in_use(self, client, pete):
        client.force_login(pete)
        found = client.post(FORM, form_data(gpus="5"), follow=True).content.decode()
        assert "7 GPUs in use, and the limit would be 5. Karpenter launches nothing more" in found

    def test_warns_where_no_warm_version_could_start_any_more(self, client, pete, observed):
        client.force_login(pete)
        warned = "No pool would buy on-demand machines any more"
        found = client.post(FORM, form_data(spot_share="spot"), follow=True).content.decode()
        assert found.count(warned) == 2  # as a message, and as the request's own notice
        CapacityRequest.objects.update(status="WITHDRAWN", decided_at=NOW)
        found_in_git("gpu-warm")
        NodePool.objects.create(uid="warm", name="gpu-warm", created_at=NOW, learned_at=NOW)
        assert (
            warned
            not in client.post(FORM, form_data(spot_share="spot"), follow=True).content.decode()
        )

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"families": []}, "This field is required"),
            ({"families": ["x99"]}, "x99 is not one of the available choices"),
            ({"gpus": ""}, "This field is required"),
            ({"gpus": "-1"}, "greater than or equal to 0"),
            ({"consolidate_after_0": "soon"}, "Enter a whole number"),
            ({"consolidate_after_0": ""}, "Say how long"),
            ({"consolidate_after_1": "d"}, "d is not one of the available choices"),
            ({"budgets-2-start": ""}, "at what time it begins"),
            ({"budgets-2-schedule": "0 9 1 * *"}, "not both"),
            (
                {"budgets-2-start": "", "budgets-2-days": [], "budgets-2-schedule": "every day"},
                "five cron fields",
            ),
            ({"budgets-2-days": [], "budgets-2-start": ""}, "come together"),
            ({"budgets-2-duration_0": ""}, "how long it lasts"),
            ({"budgets-2-nodes": ""}, "Say how many nodes"),
            ({"budgets-0-nodes": "many"}, "not a number of nodes"),
            ({"justification": "why"}, "at least 10 characters"),
            ({"base": "7"}, "has changed in the meantime"),
            (
                {
                    "budgets-0-nodes": "",
                    "budgets-0-reasons": [],
                    "budgets-2-nodes": "",
                    "budgets-2-reasons": [],
                    "budgets-2-days": [],
                    "budgets-2-start": "",
                    "budgets-2-duration_0": "",
                },
                "1 to 50 disruption budgets",
            ),
        ],
    )
    def test_says_what_is_wrong(self, client, pete, change, words):
        client.force_login(pete)
        answer = client.post(FORM, form_data(**change))
        assert answer.status_code == 422
        assert words in answer.content.decode()
        assert not CapacityRequest.objects.exists()

    def test_is_for_platform_engineers(self, client, rita, charlie):
        page(client, rita, FORM, status=403)
        page(client, charlie, FORM, status=404)

    def test_is_404_for_a_pool_that_nobody_knows(self, client, pete):
        page(client, pete, "/fleet/capacity/no-such/change/", status=404)

    def test_says_that_a_change_is_under_way(self, client, asked, petra):
        assert "A change of this pool is under way" in page(client, petra, FORM)


class TestCapacityDetail:
    @pytest.mark.usefixtures("observed")
    def test_shows_the_exact_change_the_money_and_what_would_move(self, client, asked, rita):
        found = page(client, rita, url_of("request_detail", asked))
        assert "capacity/gpu-inference.yaml" in found
        assert "-    nvidia.com/gpu: &#x27;64&#x27;" in found
        assert "+    nvidia.com/gpu: &#x27;96&#x27;" in found
        assert "$262.14 per hour" in found
        assert "$660.48 per hour" in found  # 96 × 6.88, the H100
        assert "+$398.34 per hour, +$290,785.00 per month" in found
        assert "not a forecast" in found
        assert "2 nodes would drift" in found
        assert "Spot is no longer allowed" in found
        assert "100 % of 2.0 machine hours" in found
        assert "50 % below the list price" in found
        assert "simulated prices" in found

    def test_says_what_is_not_known(self, client, asked, rita):
        found = page(client, rita, url_of("request_detail", asked))
        assert "nothing yet: this pool had no machine in the last 30 days" in found
        assert "No node would drift" in found

    def test_is_404_for_others(self, client, asked, charlie, alice):
        for person in (charlie, alice):
            page(client, person, url_of("request_detail", asked), status=404)

    def test_whoever_asked_sees_that_others_decide(self, client, asked, pete, petra, fiona):
        own = page(client, pete, url_of("request_detail", asked))
        assert "Nobody decides on their own request" in own
        assert "Withdraw the request" in own
        assert "Approve and commit" not in own
        assert "Approve and commit" in page(client, petra, url_of("request_detail", asked))
        assert "Approve and commit" not in page(client, fiona, url_of("request_detail", asked))

    def test_says_that_the_pool_has_changed_since(self, client, asked, rita):
        records.record_found(pool=POOL.name, text=text_of(replace(POOL, gpus=70)), now=NOW)
        assert "The pool has changed since this was asked" in page(
            client, rita, url_of("request_detail", asked)
        )

    def test_is_live_while_it_moves_and_says_what_failed(self, client, approved, pete):
        where = url_of("request_detail", approved)
        assert "every 2s" in page(client, pete, where)
        records.fail_request(
            request=approved, reason="REFUSED", message="The hook said no.", now=NOW
        )
        found = page(client, pete, where)
        assert "every 2s" not in found
        assert "The hook said no." in found
        assert "Try again" in found
        fragment = page(client, pete, where, **{"HX-Request": "true"})
        assert "<html" not in fragment
        assert "The hook said no." in fragment
        assert 'id="record" hx-swap-oob="true"' in fragment
        assert "Capacity change failed" in fragment


class TestDeciding:
    def decide(self, client, person, request, view, reason="Fits the plan."):
        client.force_login(person)
        return client.post(url_of(view, request), {"reason": reason})

    def test_approves_and_rejects_with_a_reason(self, client, asked, rita):
        assert self.decide(client, rita, asked, "request_approve", reason="").status_code == 422
        assert self.decide(client, rita, asked, "request_approve").status_code == 302
        asked.refresh_from_db()
        assert (asked.status, asked.decision_reason) == ("APPROVED", "Fits the plan.")

    @pytest.mark.parametrize("view", ["request_approve", "request_reject"])
    def test_nobody_decides_on_their_own_request(self, client, asked, pete, view):
        assert self.decide(client, pete, asked, view).status_code == 403
        asked.refresh_from_db()
        assert asked.status == "PENDING"

    def test_a_second_decision_is_told_so(self, client, asked, rita, petra):
        self.decide(client, rita, asked, "request_reject")
        self.decide(client, petra, asked, "request_approve")
        assert "This request is rejected already." in page(
            client, petra, url_of("request_detail", asked)
        )

    def test_withdraws(self, client, asked, pete):
        self.decide(client, pete, asked, "request_withdraw")
        asked.refresh_from_db()
        assert asked.status == "WITHDRAWN"

    def test_tries_again(self, client, approved, pete):
        records.fail_request(request=approved, reason="REFUSED", message="No.", now=NOW)
        self.decide(client, pete, approved, "request_retry")
        approved.refresh_from_db()
        assert approved.status == "APPROVED"


class TestNeeds:
    def test_asks_those_who_decide_and_tells_platform_engineers_of_failures(
        self, asked, pete, petra, rita, fiona
    ):
        titles = lambda person: [need.title for need in needs_of(person, timezone.now())]  # noqa: E731
        assert titles(rita) == titles(petra) == ["Decide on a change of gpu-inference"]
        assert titles(pete) == titles(fiona) == []
        actions.approve_capacity(request=asked, approver=rita, reason="Fits.", now=NOW)
        records.fail_request(request=asked, reason="REFUSED", message="No.", now=timezone.now())
        assert titles(pete) == ["Change of gpu-inference failed"]
        assert titles(rita) == []


@pytest.mark.usefixtures("revision")
class TestApi:
    def api(self, person):
        found = APIClient(raise_request_exception=False)
        found.force_authenticate(person)
        return found

    def test_asks_and_decides(self, pete, rita):
        made = self.api(pete).post(API, BODY, format="json")
        assert made.status_code == 201
        assert (made.json()["status"], made.json()["base"]) == ("PENDING", 1)
        where = f"{API}/{made.json()['id']}"
        assert (
            self.api(pete).post(f"{where}/approve", {"reason": "Mine."}, format="json").status_code
            == 403
        )
        assert self.api(rita).post(f"{where}/approve", {}, format="json").status_code == 400
        done = self.api(rita).post(f"{where}/approve", {"reason": "Fits."}, format="json").json()
        assert (done["status"], done["decided_by"]) == ("APPROVED", "rita")
        again = self.api(rita).post(f"{where}/reject", {"reason": "No."}, format="json")
        assert (again.status_code, again.json()["code"]) == (409, "already_decided")
        assert self.api(rita).post(f"{where}/shrug", {}, format="json").status_code == 404

    @pytest.mark.parametrize(
        ("change", "status", "code"),
        [
            ({"base": 9}, 409, "pool_changed"),
            ({"families": ["x99"]}, 409, "cannot_change_capacity"),
            ({"families": []}, 400, None),
            ({"capacity_types": ["reserved"]}, 400, None),
            (
                {"budgets": [{"nodes": "1", "schedule": "daily", "duration": "1h"}]},
                409,
                "cannot_change_capacity",
            ),
            ({"budgets": [{"nodes": "1", "reasons": ["Boredom"]}]}, 400, None),
            ({"gpus": None}, 400, None),
            ({"pool": "no-such"}, 409, "cannot_change_capacity"),
        ],
    )
    def test_refuses_with_a_problem(self, pete, change, status, code):
        answer = self.api(pete).post(API, BODY | change, format="json")
        assert answer.status_code == status
        assert answer["Content-Type"] == "application/problem+json"
        assert code is None or answer.json()["code"] == code

    def test_is_not_there_for_others_and_asks_only_for_platform_engineers(self, charlie, rita):
        assert self.api(charlie).get(API).status_code == 404
        assert self.api(charlie).post(API, BODY, format="json").status_code == 404
        assert self.api(rita).post(API, BODY, format="json").status_code == 403

    def test_answers_the_pools_with_what_a_request_needs(self, fiona):
        (found,) = self.api(fiona).get("/api/v1/fleet/node-pools").json()["results"]
        assert (found["pool"], found["revision"], found["open_request"]) == (POOL.name, 1, None)
        assert found["settings"]["families"] == ["g5", "g6"]
        assert found["settings"]["budgets"][0] == {
            "nodes": "100%",
            "reasons": ["Empty"],
            "schedule": "",
            "duration": "",
        }
        assert found["most_usd_per_hour"] == "262.144"

    def test_a_request_made_of_the_pools_own_settings_changes_nothing(self, pete):
        (found,) = self.api(pete).get("/api/v1/fleet/node-pools").json()["results"]
        body = found["settings"] | {
            "pool": found["pool"],
            "base": found["revision"],
            "justification": WHY,
        }
        answer = self.api(pete).post(API, body, format="json")
        assert (answer.status_code, answer.json()["code"]) == (409, "cannot_change_capacity")

    def test_lists_and_withdraws(self, asked, pete):
        (found,) = self.api(pete).get(API).json()["results"]
        assert found["text"] == asked.text
        assert self.api(pete).get(f"{API}/{asked.pk}").json()["id"] == str(asked.pk)
        assert self.api(pete).post(f"{API}/{asked.pk}/withdraw").json()["status"] == "WITHDRAWN"
