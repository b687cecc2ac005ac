"""Pages and API of objectives: who sees what, what is typed wrong, and what stays as it was."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.urls import reverse
from django.utils import timezone
from rest_framework.test import APIClient

from apps.accounts.models import Role
from apps.slo.actions import end_objective
from apps.slo.burn import Kind
from apps.slo.measure import measure
from apps.slo.models import Objective, Standing
from tests.factories import RegisteredModelFactory, UserFactory
from tests.slo.samples import FAST, REASON, hours, objective

pytestmark = pytest.mark.django_db
FORM = {"target_percent": "99.9", "window_days": "28", "reason": "Callers ask for more."}


@pytest.fixture
def other(alice):
    return RegisteredModelFactory(name="clinical-summary", owner_team=alice.team)


@pytest.fixture
def both(registered_model, other, alice):
    """Return a healthy objective of one model and one that burns of the other, worked out now."""
    now = timezone.now()
    healthy = objective(registered_model, alice, now=now)
    burns = objective(other, alice, Kind.TTFT, terms=FAST, now=now)
    hours(registered_model, good=1000, bad=2, now=now)
    hours(other, good=10, bad=90, now=now)
    measure(now=now)
    return healthy, burns


def page_of(client, objective):
    return client.get(reverse("slo:objective_detail", args=[objective.pk]))


class TestObjectiveList:
    def test_lists_all_with_the_least_left_first(self, both, client, charlie):
        client.force_login(charlie)
        page = client.get(reverse("slo:objective_list")).text
        assert page.index("clinical-summary") < page.index("prior-auth-extract")
        for words in (
            "Burns fast",
            "Healthy",
            "95 % of first tokens within 800 ms",
            "overspent by",
        ):
            assert words in page
        assert "Burn rate by day over 28 days: highest 18.0 ×" in page

    def test_is_narrowed_and_searched(self, both, client, charlie):
        client.force_login(charlie)
        for asked in ({"health": "PAGE"}, {"kind": "TTFT"}, {"q": "clinical"}):
            page = client.get(reverse("slo:objective_list"), asked).text
            assert "clinical-summary" in page
            assert "prior-auth-extract" not in page

    def test_is_a_file_of_the_same_lines(self, both, client, charlie):
        client.force_login(charlie)
        answer = client.get(reverse("slo:objective_list"), {"format": "csv"})
        lines = b"".join(answer.streaming_content).decode().splitlines()
        assert len(lines) == 3
        assert "PAGE" in lines[1] and "HEALTHY" in lines[2]

    def test_asks_as_much_for_many(
        self, both, client, charlie, alice, django_assert_max_num_queries
    ):
        client.force_login(charlie)
        client.get(reverse("slo:objective_list"))
        for _ in range(4):
            objective(RegisteredModelFactory(owner_team=alice.team), alice)
        with django_assert_max_num_queries(9):
            client.get(reverse("slo:objective_list"))


class TestObjectiveDetail:
    def test_says_what_is_left_and_how_it_burns(self, both, client, charlie):
        client.force_login(charlie)
        page = page_of(client, both[1]).text
        for words in ("Burns fast", "18.0 ×", "90 of 100 missed it", REASON, "Objective set"):
            assert words in page
        assert "Change the objective" not in page

    def test_says_that_nothing_is_known(self, registered_model, client, alice):
        made = objective(registered_model, alice)
        client.force_login(alice)
        assert "Not measured yet" in page_of(client, made).text
        measure(now=timezone.now())
        page = page_of(client, made).text
        assert "Not measured" in page and "no call measured" in page

    def test_says_that_its_figures_are_out_of_date(self, both, client, charlie):
        Standing.objects.update(until=timezone.now() - timedelta(minutes=11))
        client.force_login(charlie)
        assert "Out of date" in page_of(client, both[0]).text

    def test_is_changed_by_its_owner(self, both, client, alice):
        client.force_login(alice)
        answer = client.post(reverse("slo:objective_detail", args=[both[0].pk]), FORM)
        assert answer.status_code == 302
        both[0].refresh_from_db()
        assert (both[0].target_percent, both[0].revision) == (Decimal("99.9"), 2)
        both[1].refresh_from_db()
        assert both[1].revision == 1

    @pytest.mark.parametrize(
        "wrong",
        [
            {"target_percent": "100"},
            {"reason": ""},
            {"threshold_ms": "800"},
            {"threshold_ms": "801"},
            {"window_days": "0"},
            {"window_days": ""},
            {"target_percent": "99", "holds_rollouts": ""},
        ],
    )
    def test_shows_what_is_wrong_and_keeps_what_it_said(self, both, client, alice, wrong):
        client.force_login(alice)
        answer = client.post(reverse("slo:objective_detail", args=[both[0].pk]), FORM | wrong)
        assert answer.status_code == 422
        both[0].refresh_from_db()
        assert (both[0].target_percent, both[0].revision) == (99, 1)

    def test_is_not_changed_by_others(self, both, client, charlie, carol):
        for stranger in (charlie, carol):
            client.force_login(stranger)
            answer = client.post(reverse("slo:objective_detail", args=[both[0].pk]), FORM)
            assert answer.status_code == 403
        assert both[0].revisions.count() == 1

    def test_is_kept_after_its_end_and_changes_no_more(self, both, client, alice):
        client.force_login(alice)
        ended = reverse("slo:objective_end", args=[both[0].pk])
        assert client.post(ended, {"reason": ""}).status_code == 422
        assert client.post(ended, {"reason": "Not kept."}).status_code == 302
        page = page_of(client, both[0]).text
        assert "This objective is ended." in page and "Not kept." in page
        answer = client.post(reverse("slo:objective_detail", args=[both[0].pk]), FORM)
        assert answer.status_code == 422
        assert list(Objective.objects.active()) == [both[1]]


class TestObjectiveCreate:
    def test_sets_one(self, other, client, alice):
        client.force_login(alice)
        answer = client.post(
            reverse("slo:objective_create", args=[other.name]),
            FORM | {"kind": "DURATION", "window": "MONTH", "threshold_ms": "8000",
                    "window_days": "", "holds_rollouts": "on"},
        )  # fmt: skip
        assert answer.status_code == 302
        made = Objective.objects.get()
        assert (made.registered_model, made.kind, made.window) == (other, "DURATION", "MONTH")
        assert (made.threshold_ms, made.holds_rollouts) == (8000, True)

    def test_shows_the_form_again_with_what_is_wrong(self, other, client, alice):
        client.force_login(alice)
        address = reverse("slo:objective_create", args=[other.name])
        answer = client.post(address, FORM | {"kind": "TTFT", "window": "ROLLING"})
        assert answer.status_code == 422
        assert "An objective of a time says within which" in answer.text
        assert not Objective.objects.exists()


class TestPages:
    def test_the_model_page_and_home_say_how_it_stands(self, both, client, alice):
        client.force_login(alice)
        page = client.get(reverse("catalog:model_detail", args=["clinical-summary"])).text
        assert "95 % of first tokens within 800 ms" in page and "Burns fast" in page
        assert "Healthy" not in page
        home = client.get(reverse("home")).text
        assert "Burns fast" in home and "Healthy" in home

    def test_the_model_page_says_that_nothing_is_promised(self, other, client, charlie):
        client.force_login(charlie)
        page = client.get(reverse("catalog:model_detail", args=[other.name])).text
        assert "Nothing is promised to its callers yet" in page


class TestApi:
    @pytest.fixture
    def asked(self, both):
        engineer = UserFactory(with_roles=[Role.PLATFORM_ENGINEER])
        made = APIClient()
        made.force_authenticate(engineer)
        return made

    def test_lists_and_reads(self, asked, both):
        found = asked.get("/api/v1/objectives").json()["results"]
        assert {row["model"] for row in found} == {"prior-auth-extract", "clinical-summary"}
        (one,) = asked.get("/api/v1/objectives", {"health": "PAGE"}).json()["results"]
        assert one["standing"]["burn_1h"] == pytest.approx(18)
        whole = asked.get(f"/api/v1/objectives/{both[0].pk}").json()
        assert [row["reason"] for row in whole["revisions"]] == [REASON]

    def test_sets_and_ends(self, asked, both):
        body = {
            "kind": "TTFT", "window": "ROLLING", "target_percent": "90", "threshold_ms": 1000,
            "window_days": 7, "reason": "Slower hardware.",
        }  # fmt: skip
        address = "/api/v1/models/clinical-summary/objectives"
        answer = asked.put(address, body, format="json")
        assert (answer.status_code, answer.json()["revision"]) == (200, 2)
        assert asked.put(address, body, format="json").status_code == 409
        wrong = asked.put(address, body | {"threshold_ms": 1}, format="json")
        assert wrong.status_code == 400
        ended = asked.post(
            f"/api/v1/objectives/{both[1].pk}/end", {"reason": "Done."},
            format="json",
        )  # fmt: skip
        assert ended.json()["ended_at"] is not None
        assert [row["model"] for row in asked.get("/api/v1/objectives").json()["results"]] == [
            "prior-auth-extract"
        ]

    def test_is_gone_from_the_list_once_it_ended(self, both, alice):
        end_objective(objective=both[0], reason="Done.", actor=alice, now=timezone.now())
        assert list(Objective.objects.active()) == [both[1]]
