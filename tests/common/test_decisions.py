"""Who decides, who does not and why, and that a row is decided once."""

from dataclasses import dataclass
from pathlib import Path

import pytest
from django.template.loader import render_to_string

from apps.access.models import AccessRequest
from apps.accounts.models import Role
from apps.common import decisions
from apps.common.errors import NotPermitted
from apps.common.reasons import ReasonForm
from apps.common.sign_ins import JUST_NOW, FreshSignInNeeded, SignIn
from tests.factories import NOW, RegisteredModelFactory, TeamFactory, UserFactory

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Person:
    """Somebody who has signed in; accounts 1 and 100 are the same one's."""

    pk: int
    sign_in: SignIn | None = JUST_NOW

    @property
    def person(self):
        return self.pk % 99


@dataclass
class Row:
    """A request that person 1 made."""

    pk: str = "8b0f6c6e-7d0e-4b53-9a4e-0d6a8f1f0001"
    status: str = "PENDING"
    requested_by_id: int = 1

    @property
    def requested_by(self):
        return Person(self.requested_by_id)


def question(person, *, is_decider, **more):
    row = Row(status=more.pop("status", "PENDING"))
    person = person if isinstance(person, Person) else Person(person)
    return decisions.Question(
        row, person, decider="model owner of claims", is_decider=is_decider, **more
    )


def card(asked, **more):
    values = {"urls": "access:request", "approve": "Give access"}
    return decisions.card(asked, **values | more)


class TestTwoAccountsOfOnePerson:
    def test_decide_nothing_of_each_other(self):
        asked = question(100, is_decider=True)
        assert asked.is_own
        with pytest.raises(decisions.NotOnesOwn, match="Nobody decides on their own request."):
            decisions.permit(asked)
        assert not card(asked).may_decide

    def test_take_back_what_they_asked_for_themselves_alone(self):
        assert question(1, is_decider=False).may_withdraw
        assert not question(100, is_decider=False).may_withdraw


class TestPermit:
    def test_lets_another_one_decide_who_may(self):
        decisions.permit(question(2, is_decider=True))

    def test_refuses_who_may_not_and_says_who_may(self):
        with pytest.raises(
            NotPermitted, match="Only a model owner of claims can decide"
        ) as refused:
            decisions.permit(question(2, is_decider=False))
        assert not isinstance(refused.value, decisions.NotOnesOwn)

    def test_refuses_whoever_asked(self):
        words = "Nobody decides on their own proposal. It takes another model owner of claims."
        with pytest.raises(decisions.NotOnesOwn, match=words):
            decisions.permit(question(1, is_decider=True, noun="proposal"))

    @pytest.mark.parametrize("sign_in", [None, SignIn(901, 900), SignIn(None, 900)])
    def test_asks_whoever_may_decide_for_a_fresh_sign_in_last(self, sign_in):
        asked = {pk: question(Person(pk, sign_in), is_decider=pk != 3) for pk in (1, 2, 3)}
        with pytest.raises(FreshSignInNeeded) as needed:
            decisions.permit(asked[2])
        assert needed.value.sign_in == sign_in
        with pytest.raises(decisions.NotOnesOwn):
            decisions.permit(asked[1])
        with pytest.raises(NotPermitted, match="Only a model owner") as refused:
            decisions.permit(asked[3])
        assert refused.value.code == "not_permitted"


class TestPermitWithdrawal:
    def test_is_for_whoever_asked(self):
        decisions.permit_withdrawal(question(1, is_decider=False))
        words = "Only the person who asked for this can withdraw the request."
        with pytest.raises(NotPermitted, match=words):
            decisions.permit_withdrawal(question(2, is_decider=True))

    def test_is_for_others_where_the_app_says_so(self):
        owner = {"withdrawer": "model owner of claims", "noun": "proposal", "asked": "proposed"}
        decisions.permit_withdrawal(question(2, is_decider=False, is_withdrawer=True, **owner))
        words = (
            "Only the person who proposed this, or a model owner of claims, can withdraw the "
            "proposal."
        )
        with pytest.raises(NotPermitted, match=words):
            decisions.permit_withdrawal(question(2, is_decider=True, **owner))


class TestCard:
    def test_has_the_form_for_another_one_who_may(self):
        found = card(question(2, is_decider=True))
        assert (found.may_decide, found.title, found.withdraw_url) == (True, "", "")
        assert (found.approve, found.reject) == ("Give access", "Reject the request")
        assert found.approve_url == f"/access/requests/{Row.pk}/approve/"
        assert found.reject_url == f"/access/requests/{Row.pk}/reject/"
        link = {"label": "Decide…", "url": "#decide", "style": "primary"}
        assert found.head_actions == [link]
        assert (found.text, found.withdraw, found.blocked) == ("", "Withdraw the request", None)

    def test_speaks_of_what_it_is_about(self):
        more = {"noun": "proposal", "asked": "proposed"}
        found = card(question(1, is_decider=True, **more), urls="promotions:promotion")
        assert (found.reject, found.withdraw) == ("Reject the proposal", "Withdraw the proposal")
        assert found.title == "You proposed this, so another model owner of claims decides."
        assert found.text == "Nobody decides on their own proposal."
        assert found.withdraw_url == f"/promotions/{Row.pk}/withdraw/"
        assert card(question(2, is_decider=False)).text == "You can follow it here."

    @pytest.mark.parametrize(
        ("person", "is_decider", "title"),
        [
            (1, True, "You asked for this, so another model owner of claims decides."),
            (1, False, "You asked for this, so a model owner of claims decides."),
            (2, False, "A model owner of claims decides on this."),
        ],
    )
    def test_says_who_decides_to_everybody_else(self, person, is_decider, title):
        found = card(question(person, is_decider=is_decider))
        assert (found.may_decide, found.title, found.head_actions) == (False, title, [])
        assert bool(found.withdraw_url) == (person == 1)

    def test_offers_others_to_withdraw_where_they_may(self):
        assert card(question(2, is_decider=False, is_withdrawer=True)).withdraw_url
        assert not card(question(2, is_decider=False)).withdraw_url

    def test_is_none_once_it_is_decided(self):
        assert card(question(2, is_decider=True, status="APPROVED")) is None


class TestThePiece:
    def drawn(self, decide):
        return render_to_string("components/_decide.html", {"decide": decide, "form": ReasonForm()})

    def test_offers_both_answers_with_their_consequence(self):
        found = self.drawn(card(question(2, is_decider=True)))
        assert "Your decision" in found
        assert "Give access" in found
        assert f'formaction="/access/requests/{Row.pk}/reject/"' in found
        assert 'btn-primary" data-choose="a" disabled' not in found

    def test_lets_nobody_approve_what_is_blocked_and_says_why(self):
        why = ("The pool has changed.", "Reject it.")
        found = self.drawn(card(question(2, is_decider=True), blocked=why))
        assert "The pool has changed." in found
        assert 'btn-primary" data-choose="a" disabled' in found

    def test_offers_whoever_asked_to_withdraw_and_no_answer(self):
        found = self.drawn(card(question(1, is_decider=True)))
        assert "Nobody decides on their own request." in found
        assert "Withdraw the request" in found
        assert "Give access" not in found

    def test_is_empty_once_it_is_decided(self):
        assert not self.drawn(None).strip()


class TestTheRules:
    @pytest.mark.parametrize(
        "rule",
        [
            "class AlreadyDecided",
            "class NotOnesOwn",
            "class ReasonForm",
            "class ReasonInput",
            'f"Nobody decides on their own',
            "exclude(requested_by",
            "requested_by_id ==",
        ],
    )
    def test_stand_in_one_place(self, rule):
        sources = [*ROOT.glob("apps/**/*.py"), *ROOT.glob("portal/**/*.py")]
        found = [path.relative_to(ROOT) for path in sources if rule in path.read_text()]
        assert [path.parts[:2] for path in found] == [("apps", "common")], found


@pytest.fixture
def asked(db):
    """Make the access requests of these teams for one model; the newest first."""
    model = RegisteredModelFactory()

    def make(*teams):
        return [
            AccessRequest.objects.create(
                registered_model=model,
                team=person.team,
                requested_by=person,
                requested_at=NOW.replace(minute=minute),
                purpose="Reading packets.",
                data_class="PHI",
                tokens_per_minute=1000,
                monthly_budget_usd=10,
                expires_date=NOW.date(),
            )
            for minute, person in enumerate(teams)
        ]

    return make


@pytest.fixture
def leads(db):
    return [
        UserFactory(team=TeamFactory(slug=slug), with_roles=[Role.TEAM_LEAD])
        for slug in ("claims", "appeals")
    ]


class TestSettle:
    def test_decides_one_row_once(self, asked, leads):
        first, second = asked(*leads)
        seen = AccessRequest.objects.get(pk=first.pk)
        values = {"status": "APPROVED", "decided_by": leads[1], "decided_at": NOW}
        decisions.settle(AccessRequest.objects.pending(), first, **values)
        second.refresh_from_db()
        assert (first.status, second.status) == ("APPROVED", "PENDING")
        with pytest.raises(decisions.AlreadyDecided, match="This wish is approved already"):
            decisions.settle(
                AccessRequest.objects.pending(),
                seen,
                noun="wish",
                **values | {"status": "REJECTED"},
            )
        assert (seen.status, AccessRequest.objects.get(pk=seen.pk).status) == ("APPROVED",) * 2


def wish(row, person, **more):
    return decisions.Question(row, person, "owner", is_decider=True, noun="wish", **more)


def kept(row):
    row = AccessRequest.objects.get(pk=row.pk)
    return row.status, row.decided_by, row.decided_at, row.decision_reason


class TestAnswers:
    def test_are_kept_with_who_when_and_why(self, asked, leads):
        first, second = asked(*leads)
        decisions.approve(wish(first, leads[1]), reason="It is needed.", now=NOW)
        decisions.reject(wish(second, leads[0]), reason="It is not.", now=NOW)
        assert kept(first) == ("APPROVED", leads[1], NOW, "It is needed.")
        assert kept(second) == ("REJECTED", leads[0], NOW, "It is not.")

    def test_are_given_once(self, asked, leads):
        (first,) = asked(leads[0])
        seen = AccessRequest.objects.get(pk=first.pk)
        decisions.withdraw(wish(first, leads[0]), now=NOW)
        assert kept(first) == ("WITHDRAWN", leads[0], NOW, "")
        with pytest.raises(decisions.AlreadyDecided, match="This wish is withdrawn already"):
            decisions.approve(wish(seen, leads[1]), reason="It is needed.", now=NOW)
        assert kept(first) == ("WITHDRAWN", leads[0], NOW, "")

    def test_are_nobodys_who_may_not(self, asked, leads):
        (first,) = asked(leads[0])
        for answer in (decisions.approve, decisions.reject):
            with pytest.raises(decisions.NotOnesOwn):
                answer(wish(first, leads[0]), reason="Mine.", now=NOW)
        with pytest.raises(NotPermitted):
            decisions.withdraw(wish(first, leads[1]), now=NOW)
        assert kept(first) == ("PENDING", None, None, "")

    def test_set_what_else_the_row_keeps(self, asked, leads):
        (first,) = asked(leads[0])
        seen = {"expected": None}
        decisions.reject(wish(first, leads[1]), reason="No.", now=NOW, decision_seen=seen)
        assert AccessRequest.objects.get(pk=first.pk).decision_seen == seen


class TestWaitingFor:
    def test_is_the_oldest_first_and_never_ones_own(self, asked, leads):
        first, second = asked(*leads)
        third = UserFactory(team=TeamFactory(slug="pharmacy"))
        rows = AccessRequest.objects.pending()
        assert list(decisions.waiting_for(rows, third)) == [first, second]
        assert list(decisions.waiting_for(rows, leads[0])) == [second]

    def test_is_nothing_that_another_account_of_theirs_asked_for(self, asked, leads):
        asked(*leads)
        second = UserFactory(team=TeamFactory(slug="pharmacy"), person=leads[0].person)
        rows = AccessRequest.objects.pending()
        assert [row.requested_by for row in decisions.waiting_for(rows, second)] == [leads[1]]

    def test_is_nothing_for_who_does_not_decide(self, asked, leads):
        asked(*leads)
        rows = AccessRequest.objects.pending()
        assert not decisions.waiting_for(rows, UserFactory(), is_decider=False).exists()


@dataclass(frozen=True)
class Named:
    """Somebody as pages name them."""

    name: str
    username: str

    def __str__(self):
        return self.name


ALICE, BOB = Named("Alice Ode", "alice"), Named("Bob Hale", "bob")


@dataclass
class Kept:
    """A request of Alice's that keeps why it was made, and what became of it."""

    status: str = "PENDING"
    decided_by: Named | None = None
    decision_reason: str = ""
    requested_by: Named = ALICE
    justification: str = "For the backlog."


class TestAskedFacts:
    def test_say_who_asked_and_why(self):
        assert decisions.asked_facts(Kept(), "Proposed by") == [
            ("Proposed by", "Alice Ode (alice)"),
            ("Why", "For the backlog."),
        ]

    @pytest.mark.parametrize("status", ["APPROVED", "REJECTED", "PUBLISHED"])
    def test_say_who_decided_and_why(self, status):
        assert decisions.asked_facts(Kept(status, BOB, "It fits."), "Asked by") == [
            ("Asked by", "Alice Ode (alice)"),
            ("Why", "For the backlog."),
            ("Decided by", "Bob Hale"),
            ("Reason", "It fits."),
        ]

    def test_say_of_nobody_that_they_decided_what_was_taken_back(self):
        assert decisions.decided_facts(Kept("WITHDRAWN", ALICE)) == []
