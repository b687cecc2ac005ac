"""Four eyes at every door: each address that decides, for each role, and for each way in which the
person who knocks may be bound up with what is decided.

A door that decides without a line here fails, and so does a decision that no door leads to. Which
doors decide is found out: every door of the matrix (test_matrix.py) is knocked at, and those that
come to `decisions.permit` do.
"""

import ast
import inspect
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.conf import settings
from django.db import transaction
from django.db.models import Model
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apps.access.budgets.models import Boost, BudgetChange
from apps.access.models import AccessRequest, Grant
from apps.accounts.models import Role, RoleBinding, Team, User
from apps.accounts.pipelines.models import PipelineChange
from apps.accounts.recertification.models import RoleReview
from apps.accounts.roles import (
    CLOSES_MONTHS,
    DECIDES_CAPACITY,
    DECIDES_GUARDRAILS,
    DECIDES_NEW_MODELS,
    DECIDES_PIPELINES,
    DECIDES_POLICIES,
    DECIDES_PROMPTS,
    DECIDES_SIGNERS,
    DECIDES_SUITES,
    DECLARES_EMERGENCIES,
    OWNS_MODELS,
    PUBLISHES_PRICES,
    READS_PROMPTS,
    RECERTIFIES_ROLES,
    REVIEWS_EMERGENCIES,
    SETS_COST_CENTER_BUDGETS,
    SETS_TEAM_BUDGETS,
    STEERS_ROLLOUTS,
)
from apps.accounts.sessions import AUTH_TIME
from apps.audit.models import AuditEvent
from apps.capacity.models import CapacityRequest
from apps.catalog.intake.models import ModelIntake
from apps.catalog.signers.models import SignerRevocation
from apps.chargeback.closing.models import MonthClose
from apps.chargeback.models import PriceChange
from apps.common import decisions
from apps.evals.models import EvalSuite
from apps.gateway.guard.models import GuardrailChange
from apps.promotions.emergencies.models import Emergency
from apps.promotions.models import Promotion, Rollout
from apps.promotions.policy.models import PolicyChange
from apps.prompts.erasures.models import ErasureRequest
from apps.prompts.holds.models import HoldRelease
from apps.prompts.models import PromptRecord
from apps.prompts.rules.models import RetentionChange
from tests.database import as_owner
from tests.factories import UserFactory
from tests.portal import cast
from tests.portal.test_matrix import DOORS, JSON, REASON, SEEN, SEEN_NAMES, Door, filled

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("stale_by_default")]
ROOT = Path(__file__).resolve().parents[2]
TYPED = "I looked at <all> of it."

# How the person who knocks is bound up with what is decided.
ASKED, OTHER_ACCOUNT = "asked for it", "other account of who asked"
PROPOSED = "other account of who proposed the version"
PUBLISHED, OWNS, NOBODY = "published the version", "owns the model", "nobody"
EVERY, OF_MODEL = (ASKED, OTHER_ACCOUNT, NOBODY), (ASKED, OTHER_ACCOUNT, PUBLISHED, OWNS, NOBODY)


@dataclass(frozen=True)
class Decision:
    """One kind of decision: a row of the cast's world that waits, who decides, and its doors.

    row: its name among the world's ids. deciders: roles; team: of which team those must be, "" for
    any. free: the relations that leave somebody with such a role free to decide. doors: address,
    and the word at its end where there is one. data: of the page and of the API, where a reason is
    not enough; typed: the field that a person writes in. page: the address of the page that has the
    form, and what stands in it, where that is not the row's own page.
    """

    row: str
    model: type[Model]
    deciders: tuple[str, ...]
    doors: tuple[tuple[str, str], ...]
    team: str = "model-risk"
    relations: tuple[str, ...] = EVERY
    free: tuple[str, ...] = (NOBODY,)
    data: Any = None
    typed: str = "reason"
    prepare: Callable[[cast.World], None] | None = None
    page: tuple[str, str] | None = None


def both(page: str, api: str) -> tuple[tuple[str, str], ...]:
    """Return the four doors of a decision that pages and the API have."""
    found = [(f"{page}_approve", ""), (f"{page}_reject", "")]
    return (*found, (api, "approve"), (api, "reject"))


def waits_at_its_weight(world: cast.World) -> None:
    """Let a rollout wait for somebody to let it go on, since too few calls came to compare it."""
    rollout = Rollout.objects.get(pk=world.ids["failed_rollout"])
    now = timezone.now()
    rollout.commits.create(step="SERVE", sha="c" * 40, observed_at=now, committed_at=now)
    rollout.commits.create(
        step="SHIFT_10", sha="d" * 40, observed_at=now, committed_at=now + timedelta(minutes=1)
    )
    health = {"candidate": {"calls": 3}, "baseline": {"calls": 40}, "words": "Three calls."}
    Rollout.objects.filter(pk=rollout.pk).update(
        status="PROGRESSING", reason="NO_TRAFFIC", health=health, finished_at=None
    )


def is_due(world: cast.World) -> None:
    """Let a grant be old enough for its owners to look at it again."""
    year = timedelta(days=365)
    with as_owner():
        Grant.objects.filter(pk=world.ids["grant"]).update(
            active_from=timezone.now() - year, active_to=timezone.now() + year
        )


DECISIONS = [
    Decision("pending", AccessRequest, OWNS_MODELS,
             both("access:request", "api:access_request_decide"), team="ml-platform"),
    Decision("grant", Grant, OWNS_MODELS, (("access:grant_keep", ""), ("api:grant_keep", "")),
             team="ml-platform", prepare=is_due),
    Decision("role_review", RoleReview, RECERTIFIES_ROLES,
             (("oversight:role_review_approve", ""), ("oversight:role_review_reject", ""),
              ("api:role_review_decide", "keep"), ("api:role_review_decide", "take"))),
    Decision("intake", ModelIntake, DECIDES_NEW_MODELS,
             both("catalog:intake", "api:new_model_decide"), team="ml-platform"),
    Decision("capacity", CapacityRequest, DECIDES_CAPACITY,
             both("capacity:request", "api:capacity_request_decide")),
    Decision("suite", EvalSuite, DECIDES_SUITES,
             both("evals:suite", "api:evaluation_suite_decide")),
    Decision("promotion", Promotion, (Role.REVIEWER,),  # as its policy says
             both("promotions:promotion", "api:promotion_decide"), relations=OF_MODEL,
             data=(SEEN, SEEN_NAMES)),
    Decision("failed_rollout", Rollout, STEERS_ROLLOUTS,
             (("promotions:rollout_go_on", ""), ("api:rollout_steer", "go-on")), relations=OF_MODEL,
             free=(PUBLISHED, OWNS, NOBODY), prepare=waits_at_its_weight),
    Decision("policy_change", PolicyChange, DECIDES_POLICIES,
             both("promotions:policy_change", "api:promotion_policy_change_decide")),
    Decision("guard_change", GuardrailChange, DECIDES_GUARDRAILS,
             both("gateway:guardrail_change", "api:guardrail_change_decide")),
    Decision("pipeline_change", PipelineChange, DECIDES_PIPELINES,
             both("accounts:pipeline_change", "api:pipeline_change_decide")),
    Decision("promotion", Promotion, DECLARES_EMERGENCIES,
             (("promotions:emergency_create", ""), ("api:emergency_declare", "")),
             relations=OF_MODEL, typed="statement"),
    Decision("emergency", Emergency, REVIEWS_EMERGENCIES,
             (("promotions:emergency_approve", ""), ("promotions:emergency_reject", ""),
              ("api:emergency_review", "uphold"), ("api:emergency_review", "object")),
             relations=(*OF_MODEL, PROPOSED)),
    Decision("revocation", SignerRevocation, DECIDES_SIGNERS,
             both("registry:revocation", "api:signer_revocation_decide"),
             page=("registry:signer_detail", "asked_signer")),
    Decision("price_change", PriceChange, PUBLISHES_PRICES,
             both("chargeback:price_change", "api:price_change_decide")),
    Decision("budget_change", BudgetChange, (*SETS_TEAM_BUDGETS, *OWNS_MODELS),
             both("chargeback:budget_change", "api:budget_change_decide"), team="ml-platform"),
    Decision("payer_change", BudgetChange, SETS_COST_CENTER_BUDGETS,
             both("chargeback:budget_change", "api:budget_change_decide")),
    Decision("boost", Boost, (*SETS_TEAM_BUDGETS, *OWNS_MODELS),
             both("chargeback:boost", "api:boost_decide"), team="ml-platform"),
    Decision("close", MonthClose, CLOSES_MONTHS,
             (("chargeback:month_close_approve", ""), ("chargeback:month_close_reject", ""))),
    Decision("retention_change", RetentionChange, DECIDES_PROMPTS,
             both("prompts:retention_change", "api:prompt_retention_change_decide")),
    Decision("hold_release", HoldRelease, DECIDES_PROMPTS,
             both("prompts:hold_release", "api:hold_release_decide")),
    Decision("erasure", ErasureRequest, DECIDES_PROMPTS,
             both("prompts:erasure", "api:erasure_decide")),
]  # fmt: skip
# What one person decides alone.
ALONE = [
    Decision("grant", Grant, (Role.PLATFORM_ENGINEER,),
             (("access:grant_revoke", ""), ("api:grant_revoke", ""))),
    Decision("prompt", PromptRecord, READS_PROMPTS,
             (("prompts:record_read", ""), ("api:prompt_read", ""))),
]  # fmt: skip
# What is never held up: going back, and standing still.
STOPS = ("pause", "abort")
CASES = [
    pytest.param(decision, door, id=" ".join((decision.row, *door)).strip())
    for decision in DECISIONS
    for door in decision.doors
]
ALONE_CASES = [
    pytest.param(decision, door, id=" ".join((decision.row, *door)).strip())
    for decision in ALONE
    for door in decision.doors
]


def author(row: Any) -> User:
    """Return who asked for what a row is about."""
    asked = row
    if isinstance(row, Grant | Rollout):  # what is decided about them was asked for by others
        asked = row.request if isinstance(row, Grant) else row.promotion
    return User.objects.get(pk=asked.requested_by_id)


def acting(relation: str, row: Any) -> User:
    """Return the person who knocks."""
    if relation == ASKED:
        return author(row)
    if relation == PROPOSED:
        return UserFactory(person=row.proposed_by.person)
    if relation == PUBLISHED:
        return User.objects.get(pk=promotion_of(row).model_version.created_by_id)
    return UserFactory(person=author(row).person) if relation == OTHER_ACCOUNT else UserFactory()


def dress(person: User, role: str, team: str, owner_of: Team | None) -> set[str]:
    """Give a person one role and a team; or that role beside those of the model's owners."""
    roles = {role} if owner_of is None else {role, Role.MODEL_OWNER}
    RoleBinding.objects.filter(user=person).exclude(role__in=roles).delete()
    has = set(RoleBinding.objects.filter(user=person).values_list("role", flat=True))
    RoleBinding.objects.bulk_create(RoleBinding(user=person, role=one) for one in roles - has)
    person.team = owner_of or Team.objects.get(slug=team)
    person.save(update_fields=("team",))
    return roles


@pytest.fixture
def tokens(monkeypatch):
    """The claims of bearer tokens, by token."""
    found: dict[str, dict[str, object]] = {}
    monkeypatch.setattr("apps.accounts.oidc.verify", lambda token, audience: found[token])
    return found


class Knock:
    """Somebody at a door: on a page with a session, at the API with a token."""

    def __init__(self, decision, door, world, tokens):
        self.decision, self.world, self.tokens = decision, world, tokens
        self.name, self.word = door
        self.is_api, self.claims = self.name.startswith("api:"), {}
        args = [world.ids[decision.row], *([self.word] if self.word else [])]
        self.url = reverse(self.name, args=args)
        above = self.url.rstrip("/").rpartition("/")[0] + "/"
        self.page = self.url if self.name.endswith("_create") else above
        if decision.page:
            address, name = decision.page
            self.page = reverse(address, args=[world.ids[name]])
        if decision.prepare:
            decision.prepare(world)
        self.row = decision.model.objects.get(pk=world.ids[decision.row])

    def data(self) -> dict[str, object]:
        """Return what is sent."""
        asked = self.decision.data[self.is_api] if self.decision.data else REASON
        return {name: filled(value, self.world.ids) for name, value in asked.items()} | {
            self.decision.typed: TYPED
        }

    def by(self, person: User, roles: set[str], age_seconds: int = 0) -> Any:
        """Return the answer; age_seconds: how long ago the person signed in."""
        at = int(time.time()) - age_seconds
        self.client = Client(raise_request_exception=False)
        if not self.is_api:
            self.client.force_login(person)
            session = self.client.session
            session[AUTH_TIME] = at
            session.save()
            at_page = {"Referer": f"http://testserver{self.page}"}
            return self.client.post(self.url, self.data(), headers=at_page)
        self.tokens["t"] = {
            "iss": person.issuer, "sub": person.subject, "auth_time": at,
            "preferred_username": person.username, "name": person.name,
            "groups": [cast.GROUP_OF_ROLE[role] for role in roles],
            "team": person.team.slug, "cost_center": person.team.cost_center.code, **self.claims,
        }  # fmt: skip
        headers = {"Authorization": "Bearer t"}
        return self.client.post(self.url, self.data(), "application/json", headers=headers)

    def state(self) -> tuple[object, ...]:
        """Return what a decision changes: the row's status, what was recorded of it."""
        row = self.decision.model.objects.get(pk=self.row.pk)
        about = AuditEvent.objects.filter(target_id=str(row.pk))
        return getattr(row, "status", ""), getattr(row, "generation", 0), about.count()


def team_of_model(row: Any) -> Team:
    """Return the team that owns the row's model."""
    return promotion_of(row).registered_model.owner_team


def promotion_of(row: Any) -> Promotion:
    """Return the promotion that a row is, or that it is of."""
    return getattr(row, "promotion", row)


@pytest.mark.parametrize(("decision", "door"), CASES)
def test_lets_nobody_decide_who_is_bound_up_with_it(decision, door, world, tokens, settings):
    settings.STEP_UP_SECONDS = 900
    knock = Knock(decision, door, world, tokens)
    before, wrong = knock.state(), []
    for role in Role.values:
        for relation in decision.relations:
            with transaction.atomic():
                person = acting(relation, knock.row)
                owner_of = team_of_model(knock.row) if relation == OWNS else None
                roles = dress(person, role, decision.team, owner_of)
                status = knock.by(person, roles).status_code
                may = role in decision.deciders and relation in decision.free
                may |= decision.row == "failed_rollout" and relation == OWNS
                passed = status in (200, 201, 302, 409)
                if passed != may or (not may and knock.state() != before):
                    wrong.append((role, relation, status))
                transaction.set_rollback(True)
    assert wrong == []


@pytest.mark.parametrize(("decision", "door"), [*CASES, *ALONE_CASES])
def test_asks_for_a_fresh_sign_in_and_loses_nothing_typed(decision, door, world, tokens, settings):
    settings.STEP_UP_SECONDS = 900
    knock = Knock(decision, door, world, tokens)
    before, person = knock.state(), UserFactory()
    roles = dress(person, decision.deciders[0], decision.team, None)
    answer = knock.by(person, roles, age_seconds=901)
    assert knock.state() == before
    if knock.is_api:
        assert (answer.status_code, answer.json()["code"]) == (403, "fresh_sign_in_needed")
        assert 'max_age="900"' in answer.headers["WWW-Authenticate"]
        return
    assert answer["Location"].startswith(f"{settings.LOGIN_URL}?step_up=1&next=%2F")
    page = knock.client.get(knock.page)
    assert page.content.decode().count("I looked at &lt;all&gt; of it.</textarea>") == 1


@pytest.mark.parametrize("order", STOPS)
@pytest.mark.parametrize("door", ["page", "api"])
def test_asks_nobody_who_stops_something_to_sign_in_again(door, order, world, tokens, settings):
    settings.STEP_UP_SECONDS = 900
    decision = Decision("failed_rollout", Rollout, STEERS_ROLLOUTS, ())
    doors = {"page": (f"promotions:rollout_{order}", ""), "api": ("api:rollout_steer", order)}
    knock = Knock(decision, doors[door], world, tokens)
    Rollout.objects.filter(pk=knock.row.pk).update(status="PROGRESSING", finished_at=None)
    before, person = knock.state(), UserFactory()
    roles = dress(person, Role.PLATFORM_ENGINEER, decision.team, None)
    answer = knock.by(person, roles, age_seconds=7200)
    assert answer.status_code in (200, 302) and "step_up" not in answer.get("Location", "")
    assert knock.state() != before


def test_a_program_that_acts_for_a_person_counts_as_that_person(world, tokens):
    """RFC 8693: the token's subject is the person; `act` names the program, and gives nothing."""
    knock = Knock(DECISIONS[0], ("api:access_request_decide", "approve"), world, tokens)
    knock.claims = {"act": {"sub": "pipeline"}}
    person = author(knock.row)
    answer = knock.by(person, dress(person, Role.MODEL_OWNER, knock.decision.team, None))
    assert (answer.status_code, answer.json()["code"]) == (403, "not_permitted")
    assert "Nobody decides on their own request" in answer.json()["detail"]


# -- Nothing is left out ---------------------------------------------------------------------------


PERMITTING = ("decisions.permit", "decisions.approve", "decisions.reject")


def deciding(paths=("apps", "portal", "worker")) -> set[tuple[str, str]]:
    """Return the functions that have `decisions` permit: (module, name)."""
    found = set()
    for folder in paths:
        for path in (ROOT / folder).rglob("*.py"):
            module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            for function in ast.walk(ast.parse(path.read_text())):
                if isinstance(function, ast.FunctionDef) and _asks(function):
                    found.add((module, function.name))
    return found


def _asks(function: ast.FunctionDef) -> bool:
    return any(
        isinstance(node, ast.Call) and ast.unparse(node.func) in PERMITTING
        for node in ast.walk(function)
    )


def word_of(door: Door) -> str:
    """Return the word at the end of a door's address, which says what is decided."""
    last = str(door.args[-1]) if door.args else ""
    return "" if "{" in last or not door.name.startswith("api:") else last


def knock_of(door: Door, world: cast.World) -> None:
    """Knock at a door of the matrix, as the first of those who come furthest."""
    codes = dict(zip(cast.EVERYBODY, door.expected, strict=True))
    order = (200, 201, 302, 422, 409, 403)
    who = min(codes, key=lambda name: order.index(codes[name]) if codes[name] in order else 9)
    api = door.name.startswith("api:")
    client = Client(raise_request_exception=False) if api else world.client(who)
    headers = {"Authorization": f"Bearer {who}"} if api else {}
    url = reverse(door.name, args=[filled(arg, world.ids) for arg in door.args])
    data = {name: filled(value, world.ids) for name, value in door.data.items()}
    content = {"content_type": "application/json"} if door.sent == JSON else {}
    cast.read_out(getattr(client, door.method.lower())(url, data, headers=headers, **content))


@pytest.fixture
def asked(monkeypatch):
    """The functions that had `decisions` permit, in the order they did."""
    found: list[tuple[str, str]] = []
    permit = decisions.permit

    def noted(question):
        frame = inspect.currentframe().f_back
        while frame.f_globals is vars(decisions):  # approve and reject ask it themselves
            frame = frame.f_back
        found.append((frame.f_globals["__name__"], frame.f_code.co_name))
        permit(question)

    monkeypatch.setattr(decisions, "permit", noted)
    return found


def test_every_door_that_decides_has_its_line(world, asked):
    lines = {door for decision in DECISIONS for door in decision.doors}
    found = set()
    for door in DOORS:
        if door.method == "GET":
            continue
        before = len(asked)
        with transaction.atomic():
            knock_of(door, world)
            transaction.set_rollback(True)
        if len(asked) > before:
            found.add((door.name, word_of(door)))
    assert found - lines == set()


def test_every_decision_has_a_door_here(world, tokens, asked):
    reached = set()
    for decision, door in [(one, door) for one in DECISIONS for door in one.doors]:
        with transaction.atomic():
            knock = Knock(decision, door, world, tokens)
            person = UserFactory()
            knock.by(person, dress(person, decision.deciders[0], decision.team, None))
            transaction.set_rollback(True)
        assert asked, f"{door} decides nothing"
        reached.update(asked)
        asked.clear()
    assert deciding() == reached


def test_nothing_else_decides():
    """No admin, no command, no worker: what they would need of a person is not there."""
    assert not apps.is_installed("django.contrib.admin")
    assert "admin" not in str(settings.ROOT_URLCONF)
    names = {name for _, name in deciding()} - {"_decide"}
    for folder in ("worker", "portal/management", "apps/cli"):
        for path in (ROOT / folder).rglob("*.py"):
            used = {
                node.attr if isinstance(node, ast.Attribute) else node.id
                for node in ast.walk(ast.parse(path.read_text()))
                if isinstance(node, ast.Attribute | ast.Name)
            }
            assert used & names == set(), path
