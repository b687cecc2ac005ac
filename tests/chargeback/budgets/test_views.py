"""The pages and the API of budgets, as people and programs meet them."""

from datetime import date, timedelta
from decimal import Decimal

import pytest
from django.urls import reverse
from rest_framework.test import APIClient

from apps.access.budgets import actions
from apps.access.budgets.models import Boost, Budget, BudgetChange, Mode
from apps.access.budgets.terms import Terms
from apps.accounts.models import Role
from apps.chargeback.rating import Prices
from tests.access.budgets.test_actions import WHY, boost, change
from tests.chargeback.budgets.test_queries import AT, finance, hold, put, teams  # noqa: F401
from tests.chargeback.pricing import price
from tests.chargeback.test_queries import START, use
from tests.factories import NOW, RegisteredModelFactory, UserFactory
from tests.pages import joined

pytestmark = pytest.mark.django_db
DOLLAR = Prices(input=Decimal(1_000_000))  # a dollar a token
TERMS = {"mode": "HARD", "thresholds": "80, 100", "zone": "UTC", "reason": "Usual."}


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    for module in ("views", "asked", "api", "orders"):
        monkeypatch.setattr(f"apps.chargeback.budgets.{module}.now", lambda: AT)


@pytest.fixture
def as_(client):
    """Sign a person in."""

    def sign_in(person):
        client.force_login(person)
        return client

    return sign_in


@pytest.fixture
def mine(finance, teams, registered_model):  # noqa: F811
    """Charlie's team's for Alice's model, 40 of 100 dollars spent; another team's, 10 of 100; a
    cost center's in tokens.
    """
    price(registered_model, DOLLAR, START - timedelta(days=60))
    spend(40)
    spend(10, team="prior-auth", cost_center="CC-4200")
    put(finance, team=teams[1], model=registered_model)
    put(finance, cost_center=teams[0].cost_center, unit="TOKENS", amount=50)
    return put(finance, team=teams[0], model=registered_model)


def spend(usd, hour=START, **names):
    tokens = {"input_tokens": usd, "cached_input_tokens": 0, "output_tokens": 0}
    use(hour, **tokens | names)


def url(view, *arguments, **query):
    return reverse(f"chargeback:{view}", args=arguments, query=query or None)


def rows(client, **query):
    return [line.row for line in client.get(url("budget_list", **query)).context["table"].lines]


SCOPE = "claims-review for prior-auth-extract"


class TestBudgetList:
    def test_shows_each_person_theirs_the_fullest_first(
        self,
        as_,
        mine,
        finance,  # noqa: F811
        charlie,
        alice,
        carol,
    ):
        everything = ["cost center CC-4100", SCOPE, "prior-auth for prior-auth-extract"]
        assert [row.scope for row in rows(as_(finance))] == everything
        assert [row.scope for row in rows(as_(charlie))] == [SCOPE]
        assert [row.scope for row in rows(as_(alice))] == everything[1:]
        assert rows(as_(carol)) == []

    def test_says_what_is_left_in_the_unit_of_each(self, as_, mine, finance):  # noqa: F811
        hold(usd="5", tokens=20)
        client = as_(finance)
        page = joined(client.get(url("budget_list")).content)
        for words in ("$55.00", "$45.00", "$100.00", "−10 tokens", "60 tokens", "50 tokens"):
            assert words in page
        assert "Refuses calls" in page and "not enforced" not in page.lower()
        csv = b"".join(client.get(url("budget_list", format="csv")).streaming_content).decode()
        assert [line.split(",")[:6] for line in csv.splitlines()[1:]] == [
            ["cost center CC-4100", "Spent", "120", "-10", "60", "50"],
            [SCOPE, "Within budget", "45", "55", "45", "100"],
            ["prior-auth for prior-auth-extract", "Within budget", "10", "90", "10", "100"],
        ]

    @pytest.mark.parametrize(
        ("query", "count"),
        [
            ({"kind": "COST_CENTER"}, 1),
            ({"kind": "TEAM_AND_MODEL"}, 2),
            ({"kind": "TEAM"}, 0),
            ({"unit": "TOKENS"}, 1),
            ({"state": "warn"}, 1),
            ({"state": "ok"}, 2),
            ({"mode": "HARD"}, 3),
            ({"mode": "SOFT"}, 0),
            ({"q": "prior-auth for"}, 1),
        ],
    )
    def test_is_narrowed(self, as_, mine, finance, query, count):  # noqa: F811
        assert len(rows(as_(finance), **query)) == count

    def test_has_what_waits_on_top(self, as_, mine, finance, charlie):  # noqa: F811
        asked = boost(mine, charlie, now=AT)
        for person, waits in ((finance, [asked]), (charlie, [])):
            assert as_(person).get(url("budget_list")).context["needs_me"] == waits

    def test_costs_the_same_queries_however_many_budgets_there_are(
        self,
        as_,
        mine,
        finance,  # noqa: F811
        teams,  # noqa: F811
        django_assert_num_queries,
    ):
        client = as_(finance)
        with django_assert_num_queries(10):
            client.get(url("budget_list"))
        for _ in range(3):
            put(finance, team=teams[0], model=RegisteredModelFactory())
        with django_assert_num_queries(10):
            client.get(url("budget_list"))


class TestBudgetCreate:
    def test_sets_a_budget(self, as_, finance, teams):  # noqa: F811
        given = {"team": "claims-review", "unit": "TOKENS", "amount": "5000"}
        answer = as_(finance).post(url("budget_create"), TERMS | given)
        made = Budget.objects.get()
        assert answer.url == url("budget_detail", made.series)
        assert (made.team, made.registered_model, made.unit) == (teams[0], None, "TOKENS")
        assert (made.amount, made.thresholds, made.active_from) == (5000, [80, 100], AT)

    @pytest.mark.parametrize(
        ("given", "errors"),
        [
            ({}, {"team": ["Choose a cost center or a team."]}),
            (
                {"team": "claims-review", "cost_center": "CC-4100"},
                {"team": ["Choose a cost center or a team."]},
            ),
            (
                {"cost_center": "CC-4100", "model": "prior-auth-extract"},
                {"model": ["A cost center's budget is for all models."]},
            ),
            (
                {"team": "claims-review", "amount": "0", "thresholds": "100, 80"},
                {
                    "amount": ["It must be more than 0."],
                    "thresholds": ["Give different per cents from 1 to 100, the lowest first."],
                },
            ),
            (
                {"team": "claims-review", "thresholds": "most"},
                {"thresholds": ["Write per cents, such as 80, 100."]},
            ),
        ],
    )
    def test_says_what_is_wrong(self, as_, finance, teams, registered_model, given, errors):  # noqa: F811
        usual = TERMS | {"unit": "USD", "amount": "5"}
        answer = as_(finance).post(url("budget_create"), usual | given)
        assert answer.status_code == 422
        assert {name: list(text) for name, text in answer.context["form"].errors.items()} == errors
        assert not Budget.objects.exists()

    def test_offers_each_person_the_scopes_that_they_set(self, as_, finance, alice):  # noqa: F811
        engineer = UserFactory(with_roles=[Role.PLATFORM_ENGINEER])
        own = RegisteredModelFactory(owner_team=alice.team)
        RegisteredModelFactory()
        scopes = {"cost_center", "team", "model"}
        for person, offered in (
            (finance, scopes),
            (engineer, {"cost_center"}),
            (alice, {"team", "model"}),
        ):
            form = as_(person).get(url("budget_create")).context["form"]
            assert scopes & set(form.fields) == offered
        assert list(form.fields["model"].queryset) == [own]


class TestBudgetDetail:
    def test_shows_the_month_day_by_day(self, as_, mine, charlie, alice):
        spend(7, START + timedelta(days=3))
        asked = boost(mine, charlie, amount=20, now=AT)
        actions.approve_boost(request=asked, approver=alice, now=AT, **WHY)
        answer = as_(charlie).get(url("budget_detail", mine.series))
        figures = answer.context["figures"]
        assert (figures["left"], figures["used"]) == ("$73.00", "$47.00")
        assert figures["left_note"] == "of $120.00 in November 2026, UTC"
        assert figures["boosted"] == "$20.00 of the limit by boosts"
        assert figures["outlook"] == "A forecast needs two whole weeks of use."
        chart = answer.context["chart"]
        spent, even, forecast = chart.series
        assert list(spent.values) == [40] * 3 + [47] * 9 + [None] * 18
        assert (even.values[0], even.values[-1]) == (4, 120)
        assert set(forecast.values) == {None}
        assert (chart.limit.value, len(chart.at), chart.at[0]) == (120, 30, date(2026, 11, 1))
        page = joined(answer.content)
        assert "Calls that it has too little left for are refused." in page
        assert url("boost_detail", asked.pk) in page

    def test_shows_a_band_of_what_is_to_come(self, as_, mine, charlie):
        for back in range(1, 15):
            spend(1, AT.replace(hour=1) - timedelta(days=back))
        spend(6, AT.replace(hour=2) - timedelta(days=2))
        answer = as_(charlie).get(url("budget_detail", mine.series))
        forecast = answer.context["chart"].series[2]
        low, high = forecast.band
        assert [value is None for value in low] == [True] * 11 + [False] * 19
        assert all(one < other for one, other in zip(low[11:], high[11:], strict=True))
        assert "to $" in answer.context["figures"]["outlook"]
        assert answer.context["figures"]["runs_out"] == "perhaps from 17 Nov 2026 on"

    def test_keeps_everything_that_happened(self, as_, mine, finance, charlie, alice):  # noqa: F811
        address = url("budget_detail", mine.series)
        change(mine, finance, now=NOW + timedelta(hours=1), amount=Decimal(90))
        newest = Budget.objects.get(series=mine.series, amount=90)
        asked = change(newest, charlie, now=NOW + timedelta(hours=2), amount=Decimal(95))
        actions.approve_change(request=asked, approver=alice, now=NOW + timedelta(hours=3), **WHY)
        answer = as_(charlie).get(address)
        assert answer.context["budget"].amount == 95
        assert [event.label for event in answer.context["events"]] == [
            "Budget set",
            "Budget changed",
            "Change of a budget requested",
            "Change of a budget approved",
            "Budget changed",
        ]

    def test_of_an_ended_budget_stays(self, as_, mine, finance, alice):  # noqa: F811
        asked = actions.request_end(budget=mine, requester=finance, now=NOW, **WHY)
        later = NOW + timedelta(hours=1)
        actions.approve_change(request=asked, approver=alice, now=later, **WHY)
        answer = as_(finance).get(url("budget_detail", mine.series))
        assert answer.context["badge"].words == "Ended"
        assert answer.context["actions"] == []
        assert "Alice: Usual." in joined(answer.content)

    def test_offers_what_the_person_may_do(self, as_, mine, charlie, finance):  # noqa: F811
        auditor = UserFactory(with_roles=[Role.AUDITOR])
        for person, labels in (
            (charlie, ["Ask for a boost…", "Change…"]),
            (finance, ["Ask for a boost…", "Change…"]),
            (auditor, []),
        ):
            found = as_(person).get(url("budget_detail", mine.series)).context["actions"]
            assert [action["label"] for action in found] == labels

    def test_marks_what_the_stand_in_answered(self, as_, mine, charlie, monkeypatch):
        monkeypatch.setattr(
            "apps.chargeback.budgets.views.stand_in_versions", lambda versions: versions
        )
        for view, arguments in (("budget_detail", [mine.series]), ("budget_list", [])):
            answer = as_(charlie).get(url(view, *arguments))
            assert "stand-in answers calls here" in joined(answer.content)


class TestBudgetChange:
    def test_is_in_force_where_it_is_stricter_and_asked_for_where_not(
        self,
        as_,
        mine,
        finance,  # noqa: F811
    ):
        address = url("budget_change", mine.series)
        client = as_(finance)
        assert client.get(address).context["form"].initial["thresholds"] == (80, 100)
        answer = client.post(address, TERMS | {"amount": "90"})
        assert answer.url == url("budget_detail", mine.series)
        assert [row.amount for row in Budget.objects.active(AT).filter(series=mine.series)] == [90]

    def test_is_asked_for_where_it_lets_more_be_spent(self, as_, mine, finance):  # noqa: F811
        answer = as_(finance).post(url("budget_change", mine.series), TERMS | {"amount": "110"})
        asked = BudgetChange.objects.get()
        assert answer.url == url("budget_change_detail", asked.pk)
        page = joined(as_(finance).get(answer.url).content)
        assert "$100.00 → $110.00" in page
        assert "You asked for this, so another model owner of ml-platform or finance" in page
        assert "Months of" not in page

    def test_says_what_is_wrong(self, as_, mine, finance):  # noqa: F811
        answer = as_(finance).post(url("budget_change", mine.series), TERMS | {"amount": "100"})
        assert answer.status_code == 422
        assert "Nothing changes" in joined(answer.content)

    def test_ends_by_asking(self, as_, mine, finance):  # noqa: F811
        address = url("budget_end", mine.series)
        as_(finance).post(address, {"reason": ""})
        assert not BudgetChange.objects.exists()
        answer = as_(finance).post(address, WHY)
        asked = BudgetChange.objects.get(ends=True)
        assert answer.url == url("budget_change_detail", asked.pk)
        assert "afterwards it limits nothing" in joined(as_(finance).get(answer.url).content)


class TestBoostCreate:
    def test_asks_and_shows_it(self, as_, mine, charlie):
        address = url("boost_create", mine.series)
        initial = as_(charlie).get(address).context["form"].initial
        assert initial == {"last_day": date(2026, 11, 30)}
        given = {"amount": "25", "last_day": "2026-11-20", "reason": "A backlog."}
        answer = as_(charlie).post(address, given)
        made = Boost.objects.get()
        assert answer.url == url("boost_detail", made.pk)
        assert (made.amount, made.last_day, made.requested_by) == (25, date(2026, 11, 20), charlie)

    def test_leaves_out_what_an_address_says_wrongly(self, as_, mine, charlie):
        address = url("boost_create", mine.series, amount="much", end="soon")
        initial = as_(charlie).get(address).context["form"].initial
        assert initial == {"last_day": date(2026, 11, 30)}

    def test_says_what_is_wrong(self, as_, mine, charlie):
        given = {"amount": "0", "last_day": "2026-11-01", "reason": "A backlog."}
        answer = as_(charlie).post(url("boost_create", mine.series), given)
        assert answer.status_code == 422
        assert set(answer.context["form"].errors) == {"amount", "last_day"}


class TestDecisions:
    @pytest.mark.parametrize("kind", ["budget_change", "boost"])
    @pytest.mark.parametrize(("verb", "status"), [("approve", "APPROVED"), ("reject", "REJECTED")])
    def test_are_taken_once_by_another_person_with_a_reason(
        self, as_, mine, charlie, alice, kind, verb, status
    ):
        asked = (
            boost(mine, charlie, now=AT)
            if kind == "boost"
            else change(mine, charlie, now=AT, amount=Decimal(200))
        )
        detail = url(f"{kind}_detail", asked.pk)
        page = joined(as_(alice).get(detail).content)
        assert "Your decision" in page
        wanted = "Add $50.00 until 30 Nov 2026" if kind == "boost" else "to $200.00 a month"
        assert wanted in page
        address = url(f"{kind}_{verb}", asked.pk)
        assert as_(alice).post(address, {"reason": ""}).status_code == 422
        assert as_(charlie).post(address, WHY).status_code == 403
        assert as_(alice).post(address, WHY).url == detail
        asked.refresh_from_db()
        assert (asked.status, asked.decided_by) == (status, alice)
        assert "already" in joined(as_(alice).post(address, WHY, follow=True).content)
        more = verb == "approve"
        (left,) = rows(as_(charlie))
        limit = {("boost", True): 150, ("budget_change", True): 200}.get((kind, more), 100)
        assert left.standing.balance.limit == limit

    def test_on_a_budget_that_changed_meanwhile_can_only_be_no(
        self,
        as_,
        mine,
        charlie,
        finance,  # noqa: F811
    ):
        asked = change(mine, charlie, now=NOW, amount=Decimal(200))
        change(mine, finance, now=NOW + timedelta(hours=1), amount=Decimal(10))
        page = joined(as_(finance).get(url("budget_change_detail", asked.pk)).content)
        assert "The budget has changed or ended since this was asked." in page
        assert 'btn-primary" data-choose="a" disabled' in page

    def test_can_be_taken_back(self, as_, mine, charlie):
        asked = boost(mine, charlie, now=AT)
        as_(charlie).post(url("boost_withdraw", asked.pk))
        asked.refresh_from_db()
        assert asked.status == "WITHDRAWN"


class TestOtherPages:
    def test_of_chargeback_and_of_the_grant_lead_here(self, as_, charlie, alice, registered_model):
        from apps.access import actions as access
        from tests.access.test_actions import WISH

        request = access.submit_request(
            model=registered_model, wish=WISH, requester=charlie, now=NOW
        )
        grant = access.approve_request(request=request, approver=alice, reason="Fits.", now=NOW)
        budget = Budget.objects.get(grant=grant)
        page = url("budget_detail", budget.series)
        assert url("budget_list") in joined(as_(charlie).get(url("month")).content)
        for address in (
            reverse("access:grant_detail", args=[grant.pk]),
            url("grant_use", grant.pk),
            reverse("grant_list"),
            reverse("gateway:policy_detail", args=[registered_model.name]),
            reverse("home"),
        ):
            found = joined(as_(charlie).get(address).content)
            assert page in found, address
            assert "$100.00" in found, address


class TestOrdersOfTheApi:
    """The same actions as the pages; who may is in the matrix of doors."""

    def send(self, person, path, body=None):
        client = APIClient()
        client.force_authenticate(person)
        return client.post(f"/api/v1/{path}", body or {}, format="json")

    def test_set_a_budget_where_there_is_none(self, mine, finance, teams):  # noqa: F811
        body = {"team": teams[0].slug, "unit": "TOKENS", "amount": "500", "reason": "Usual."}
        made = self.send(finance, "budgets", body)
        assert made.status_code == 201, made.content
        told = made.json()
        assert (told["team"], told["model"], told["unit"], told["amount"]) == (
            "claims-review", None, "TOKENS", "500.00",
        )  # fmt: skip
        assert (told["mode"], told["zone"], told["thresholds"]) == ("HARD", "UTC", [80, 100])
        again = self.send(finance, "budgets", body)
        assert (again.status_code, again.json()["code"]) == (409, "cannot_budget")

    @pytest.mark.parametrize(
        "names",
        [{}, {"team": "a", "cost_center": "b"}, {"cost_center": "CC-4100", "model": "m"}],
    )
    def test_refuse_a_scope_that_there_is_not(self, mine, finance, names):  # noqa: F811
        body = {"unit": "USD", "amount": "500", "reason": "Usual.", **names}
        assert self.send(finance, "budgets", body).status_code == 400

    def test_change_at_once_or_ask(self, mine, finance, charlie):  # noqa: F811
        path = f"budgets/{mine.series}/changes"
        less = self.send(finance, path, {"amount": "90", "reason": "Less is enough."}).json()
        assert (less["is_in_force"], less["change"]) == (True, None)
        assert Budget.objects.active(AT).get(series=mine.series).amount == 90
        more = self.send(charlie, path, {"amount": "200", "reason": "More packets."}).json()
        assert (more["is_in_force"], more["change"]["status"]) == (False, "PENDING")
        assert more["change"]["amount"] == "200.00"

    def test_ask_decide_and_end_a_boost(self, mine, finance, charlie, monkeypatch):  # noqa: F811
        day = (AT + timedelta(days=3)).date().isoformat()
        body = {"amount": "5", "last_day": day, "reason": "A backlog."}
        asked = self.send(charlie, f"budgets/{mine.series}/boosts", body)
        assert asked.status_code == 201, asked.content
        boost = asked.json()
        assert (boost["status"], boost["last_day"]) == ("PENDING", day)
        path = f"boosts/{boost['id']}"
        assert self.send(charlie, f"{path}/approve", {"reason": "Mine."}).status_code == 403
        approved = self.send(finance, f"{path}/approve", {"reason": "Fits."}).json()
        assert (approved["status"], approved["decided_by"]) == ("APPROVED", finance.username)
        later = AT + timedelta(hours=1)
        monkeypatch.setattr("apps.chargeback.budgets.orders.now", lambda: later)
        ended = self.send(finance, f"{path}/end", {"reason": "Done already."}).json()
        assert ended["over_at"] < approved["over_at"]
        assert self.send(finance, f"{path}/end", {"reason": "Again."}).status_code == 409
        assert self.send(finance, f"{path}/explode").status_code == 404


class TestApi:
    def read(self, person, path="/api/v1/budgets", **query):
        client = APIClient()
        client.force_authenticate(person)
        return client.get(path, query)

    def test_lists_budgets_with_what_is_left(self, mine, charlie, finance):  # noqa: F811
        hold(usd="5", tokens=20)
        (told,) = self.read(charlie).json()["results"]
        assert (told["team"], told["model"], told["cost_center"]) == (
            "claims-review",
            "prior-auth-extract",
            None,
        )
        assert told["month"] == {
            "start": "2026-11-01T00:00:00Z",
            "end": "2026-12-01T00:00:00Z",
            "limit": "100",
            "boosted": "0",
            "spent": "40",
            "reserved": "5",
            "settled": "0",
            "available": "55",
            "unpriced_tokens": 0,
            "unpriced_requests": 0,
            "reached_thresholds": [],
        }
        assert (told["amount"], told["unit"], told["is_enforced"]) == ("100.00", "USD", True)
        assert len(self.read(finance).json()["results"]) == 3

    def test_says_whether_the_gateway_refuses_calls_by_it(self, mine, finance, teams):  # noqa: F811
        terms = Terms(Decimal(5), mode=Mode.WARN)
        actions.set_budget(team=teams[0], unit="TOKENS", terms=terms, actor=finance, now=NOW, **WHY)
        told = [(row["mode"], row["is_enforced"]) for row in self.read(finance).json()["results"]]
        assert sorted(told) == [("HARD", True), ("HARD", True), ("HARD", True), ("WARN", False)]

    def test_is_narrowed(self, mine, finance):  # noqa: F811
        change(mine, finance, now=NOW + timedelta(hours=1), amount=Decimal(90))
        for query, count in (
            ({"team": "claims-review"}, 1),
            ({"cost_center": "CC-4100"}, 1),
            ({"model": "prior-auth-extract"}, 2),
            ({"unit": "TOKENS"}, 1),
            ({"mode": "WARN"}, 0),
            ({"active": "false"}, 1),
            ({"active": "true"}, 3),
            ({"active_since": NOW.isoformat()}, 3),
            ({"active_since": (NOW + timedelta(hours=1)).isoformat()}, 1),
            ({"active_before": (NOW + timedelta(hours=1)).isoformat()}, 2),
        ):
            assert len(self.read(finance, **query).json()["results"]) == count, query
        (ended,) = self.read(finance, active="false").json()["results"]
        assert ended["month"] is None

    def test_reads_one_by_its_series(self, mine, charlie, finance, carol):  # noqa: F811
        change(mine, finance, now=NOW + timedelta(hours=1), amount=Decimal(90))
        path = f"/api/v1/budgets/{mine.series}"
        told = self.read(charlie, path).json()
        assert (told["amount"], told["month"]["available"]) == ("90.00", "50")
        assert self.read(carol, path).status_code == 404


def test_usual_terms_are_those_of_a_grant():
    assert Terms(Decimal(1)) == Terms(Decimal(1), "UTC", "HARD", (80, 100))
