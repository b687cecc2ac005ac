"""Everybody who may knock at a door, and a world with one of each thing behind the doors."""

import time
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from uuid import uuid4

from cryptography.hazmat.primitives.asymmetric import ec
from django.conf import settings
from django.http import HttpResponseBase
from django.test import Client
from django.utils import timezone

from apps.access.budgets import actions as budgets
from apps.access.budgets.models import Budget
from apps.access.budgets.terms import Terms
from apps.access.models import AccessRequest, Grant
from apps.accounts.claims import role_of_group
from apps.accounts.models import CostCenter, Role, Team, User
from apps.accounts.recertification.models import RoleReview
from apps.audit.actions import System, record
from apps.audit.models import Action
from apps.capacity import actions as capacity
from apps.capacity.models import CapacityRequest
from apps.catalog.models import ModelFile, RegisteredModel
from apps.catalog.retirement.models import Retirement
from apps.catalog.signers import actions as signers
from apps.catalog.verification.actions import record_bucket
from apps.chargeback.closing.models import MonthClose, Statement
from apps.chargeback.documents.actions import ask_for, record_failed
from apps.chargeback.periods import first_open
from apps.common.signing import FileSigner
from apps.evals.actions import start_eval_run
from apps.evals.models import EvalRun, EvalSuite, SuitePacket
from apps.evals.packets.packet import Packet
from apps.evals.scoring.scores import PacketScore
from apps.evals.suites.actions import request_suite as ask_for_suite
from apps.evals.suites.uploads import read_upload
from apps.fleet.models import NodeClaim, Replica
from apps.incidents.actions import WATCHER, open_episode
from apps.incidents.models import Episode
from apps.metering.actions import ingest_usage
from apps.metering.follow import read_lines
from apps.metering.quarantine.models import QuarantinedRecord
from apps.notices.actions import tell
from apps.notices.models import Call, Kind, Webhook
from apps.oversight.evidence.actions import ask_for_month
from apps.promotions.emergencies.models import Emergency
from apps.promotions.holding.actions import hold_rollouts
from apps.promotions.models import Promotion, Rollout
from apps.prompts.erasures.actions import ask_erasure
from apps.prompts.holds.actions import ask_release, place_hold
from apps.prompts.reading.actions import name_reader
from apps.prompts.rules.actions import propose_retention
from apps.prompts.rules.rules import Rules as Retention
from tests.accounts.pipelines import samples as pipelines
from tests.capacity import samples
from tests.catalog import intakes
from tests.chargeback.pricing import CHEAP, DEAR, propose, publish
from tests.evals.suites import samples as suite_samples
from tests.factories import RegisteredModelFactory, TeamFactory, UserFactory, create_event
from tests.gateway.guard import guardrails
from tests.promotions import factories as promoted
from tests.promotions import policies
from tests.promotions.seeing import seen
from tests.prompts.samples import stored
from tests.slo.samples import objective

# persona: (team, role). The order is that of the columns of the matrix.
PEOPLE = {
    "lead": ("claims-review", Role.TEAM_LEAD),
    "other_lead": ("prior-auth", Role.TEAM_LEAD),
    "developer": ("claims-review", Role.DEVELOPER),
    "owner": ("ml-platform", Role.MODEL_OWNER),
    "other_owner": ("other-models", Role.MODEL_OWNER),
    "reviewer": ("model-risk", Role.REVIEWER),
    "reviewer2": ("model-risk", Role.REVIEWER),
    "finance": ("finance", Role.FINANCE),
    "platform": ("platform", Role.PLATFORM_ENGINEER),
    "auditor": ("audit", Role.AUDITOR),
    "roleless": ("claims-review", None),
}
ANONYMOUS = "anonymous"
EVERYBODY = (*PEOPLE, ANONYMOUS)
GROUP_OF_ROLE = {role: group for group, role in role_of_group().items()}


@dataclass
class World:
    """The people and the rows. sessions: a cookie for each of the people, who have signed in. ids:
    what stands in addresses.
    """

    people: dict[str, User]
    sessions: dict[str, str]
    ids: dict[str, object] = field(default_factory=dict)

    def client(self, persona: str) -> Client:
        """Return a browser in which this persona has signed in."""
        client = Client(raise_request_exception=False)
        if persona != ANONYMOUS:
            client.cookies[settings.SESSION_COOKIE_NAME] = self.sessions[persona]
        return client


def read_out(answer: HttpResponseBase) -> None:
    """Read a streamed answer to its end: what it reads from is closed there."""
    if answer.streaming:
        b"".join(answer)


def claims_of(persona: str) -> dict[str, object]:
    """Return what the identity provider says about a persona."""
    team, role = PEOPLE[persona]
    groups = [GROUP_OF_ROLE[role]] if role else []
    who = {
        "iss": "http://127.0.0.1:2",
        "sub": persona,
        "preferred_username": persona,
        "name": persona.title(),
        "auth_time": int(time.time()),
    }
    return who | {"groups": groups, "team": team, "cost_center": f"CC-{team}"}


def build() -> World:
    """Make the world: a live version, one proposed, one that failed; a grant and requests; one
    event.
    """
    people = _people()
    world = World(people, {name: _session(person) for name, person in people.items()})
    owner, lead = world.people["owner"], world.people["lead"]
    model = RegisteredModelFactory(name="extract", owner_team=owner.team, created_by=owner)
    promoted.suite()
    live = promoted.live(model, 1)
    candidate = promoted.version(model, 2)
    run = promoted.run(candidate)
    _packet(run)
    failed = promoted.version(
        model, 3, status="FAILED", manifest_digest="", locked_until=timezone.now()
    )
    ModelFile.objects.create(version=failed, name="config.json", size=10, sha256="a" * 64)
    proposed = _promotion(model, candidate, run, owner, baseline=live.model_version)
    failed_rollout = _failed_rollout()
    old = RegisteredModelFactory(name="extract-old", owner_team=owner.team)
    _retirement(old, owner)
    approved = _request(model, lead, "APPROVED", decided_by=owner, decided_at=timezone.now())
    event = record(
        action=Action.MODEL_REGISTERED, actor=System("tests"), target=model, now=timezone.now()
    )
    grant = _grant(approved)
    world.ids = {
        "pending": _request(failed_rollout.registered_model, lead, "PENDING").pk,
        "grant": grant.pk,
        "promotion": proposed.pk,
        "rollout": live.pk,
        "live_promotion": live.promotion_id,
        "failed_rollout": failed_rollout.pk,
        "episode": _episode(failed_rollout).pk,
        "burning": _burning(old).pk,
        "objective": objective(model, owner, now=timezone.now()).pk,
        "run": run.pk,
        "open_run": _open_run(promoted.version(model, 4), owner).pk,
        "event": event.pk,
        "role_review": RoleReview.objects.create(
            requested_by=owner,
            role=Role.MODEL_OWNER,
            requested_at=timezone.now(),
            due_at=timezone.now(),
        ).pk,
        "pack": ask_for_month(
            month=date(2026, 9, 1), actor=world.people["auditor"], now=timezone.now()
        ).pk,
        "doubted": _doubted().pk,
        "refused_call": create_event(
            event_id=uuid4(),
            occurred_at=timezone.now(),
            received_at=timezone.now(),
            received_via="OTLP",
            outcome="REFUSED",
            response_code=402,
            team="claims-review",
            cost_center="CC-claims-review",
            model="extract",
        ).event_id,
        "close": _closes(world.people["finance"]).pk,
        "replica": _replica().pk,
        "claim": _claim().pk,
        "digest": proposed.manifest_digest,
        "baseline": live.model_version_id,
    }
    world.ids |= _notices(world.people["lead"])
    world.ids["emergency"] = _emergency(failed_rollout, owner, world.people["platform"]).pk
    world.ids |= _capacity(world.people["platform"], world.people["reviewer"])
    world.ids |= _new_models(world.people)
    world.ids |= _suites(owner)
    world.ids |= _keys(world.people["platform"])
    world.ids |= _budgets(grant, world.people)
    world.ids |= _policies(world.people["platform"])
    world.ids |= _guard(world.people["platform"])
    world.ids |= _pipelines(people)
    world.ids |= _prompts(people)
    world.ids |= _prices(model, failed_rollout.registered_model, world.people["finance"])
    world.ids["figures"] = seen(proposed, timezone.now()).figures
    return world


def _prompts(people: dict[str, User]) -> dict[str, object]:
    """Return a call that is kept, what an auditor asks about the record, and a named reader."""
    auditor, now = people["auditor"], timezone.now()
    why = "As counsel asked."
    hold = place_hold(scope="CALL", name=str(uuid4()), matter="2026-17", actor=auditor, now=now)
    held = place_hold(scope="CALL", name=str(uuid4()), matter="2026-18", actor=auditor, now=now)
    change = propose_retention(
        data_class="PHI", rules=Retention("REQUIRED", 400), justification=why, requester=auditor,
        now=now,
    )  # fmt: skip
    release = ask_release(hold=held, justification=why, requester=auditor, now=now)
    erasure = ask_erasure(kind="MEMBER", name="M-7", justification=why, requester=auditor, now=now)
    named = name_reader(
        reader=people["reviewer2"], days=7, reason="Review.", actor=auditor, now=now
    )
    return {
        "prompt": stored(team="claims-review", at=now).pk,
        "retention_change": change.pk,
        "hold": hold.pk,
        "hold_release": release.pk,
        "erasure": erasure.pk,
        "named_reader": named.pk,
        "reviewer": people["reviewer"].pk,
    }


def _packet(run: EvalRun) -> None:
    """Give a run's suite a packet, and the run its candidate's answer to it."""
    packet = Packet(id="packet-01", text="Diabetes (E11.9).")
    SuitePacket.objects.create(
        packets_digest=run.suite.packets_digest, number=1, packet_id=packet.id, pages=1,
        content=packet.as_json(),
    )  # fmt: skip
    score = PacketScore(("E11.9",), ("E11.9",), 1, 10.0, 20.0, 5, packet_id=packet.id)
    run.packet_results.create(packet_id=packet.id, answer="E11.9", score=score.as_json())


def _open_run(version, owner: User) -> EvalRun:
    """Return a run that waits for the worker."""
    suite = EvalSuite.objects.get()
    return start_eval_run(version=version, suite=suite, actor=owner, now=timezone.now())


def _notices(person: User) -> dict[str, object]:
    """Return by id: a notice of this person's, their webhook, and what failed on its way there."""
    webhook = Webhook.objects.create(
        user=person, url="https://hooks.meridian.test/", kinds=["WAITS"], created_at=timezone.now()
    )
    (notice,) = tell(
        [person], kind=Kind.WAITS, title="Look", path="/", key="look", now=timezone.now()
    )
    Call.objects.update(status="FAILED", next_check_at=None)
    return {"notice": notice.pk, "webhook": webhook.pk, "call": webhook.calls.get().pk}


def _policies(person: User) -> dict[str, object]:
    """Return proposed changes of promotion policies by id: another's, and this person's own."""
    now = timezone.now()
    return {
        "policy_change": policies.propose("PHI", now=now, approvals=2).pk,
        "own_policy_change": policies.propose("PUBLIC", now=now, requester=person, approvals=2).pk,
    }


def _guard(person: User) -> dict[str, object]:
    """Return by id: this person's own proposed guard rules, and a hit in the lead's team's call."""
    now = timezone.now()
    return {
        "guard_change": guardrails.propose(now=now, requester=person).pk,
        "guard_hit": guardrails.a_hit(at=now).pk,
    }


def _pipelines(people: dict[str, User]) -> dict[str, object]:
    """Return proposed rules of pipelines by id: an owner's, and an engineer's own; and the name of
    a pipeline that is let in.
    """
    owner, engineer = people["owner"], people["platform"]
    asked = {"team": owner.team, "pushers": [pipelines.pusher(people["developer"])]}
    pipelines.let_in("extract-release", requester=owner, approver=people["reviewer"], **asked)
    return {
        "pipeline": "extract-release",
        "pipeline_change": pipelines.propose("extract-nightly", requester=owner, **asked).pk,
        "own_pipeline_change": pipelines.propose("other", requester=engineer, **asked).pk,
    }


def _prices(model: RegisteredModel, other: RegisteredModel, person: User) -> dict[str, object]:
    """Return proposals of prices by id: another's, and this person's own; the first model has
    prices already.
    """
    RegisteredModelFactory(name="unpriced", owner_team=model.owner_team)
    UserFactory(username="finance2", team=person.team, with_roles=[Role.FINANCE])
    start = first_open(timezone.now())
    publish(propose(model, CHEAP, start, by="finance2"), by=person.username)
    proposed = {
        "price_change": propose(model, DEAR, start, by="finance2"),
        "own_price_change": propose(other, CHEAP, start, by=person.username),
    }
    return {name: change.pk for name, change in proposed.items()}


def _budgets(grant: Grant, people: dict[str, User]) -> dict[str, object]:
    """Return by id the budget of a grant's team for its model, and that of its cost center; a
    change and a boost of the first that the lead asked for, and a change of the second.
    """
    now = timezone.now()
    usual = {
        "unit": "USD", "zone": "UTC", "mode": "HARD", "thresholds": [80, 100], "reason": "Usual.",
        "active_from": now - timedelta(days=1),
    }  # fmt: skip
    mine = Budget.objects.create(
        team=grant.team, registered_model=grant.registered_model, amount=Decimal(100), grant=grant,
        set_by=people["owner"], **usual,
    )  # fmt: skip
    payer = Budget.objects.create(
        cost_center=grant.team.cost_center, amount=Decimal(1000), set_by=people["finance"], **usual
    )
    asked = {"reason": "More packets.", "now": now}
    more = Terms(Decimal(200))
    change = budgets.change_budget(budget=mine, terms=more, actor=people["lead"], **asked)
    other = budgets.change_budget(
        budget=payer, terms=Terms(Decimal(2000)), actor=people["platform"], **asked
    )
    boost = budgets.request_boost(
        budget=mine, amount=Decimal(10), last_day=now.date() + timedelta(days=3),
        requester=people["lead"], **asked,
    )  # fmt: skip
    return {
        "budget": mine.series,
        "payer_budget": payer.series,
        "budget_change": change.pk,
        "payer_change": other.pk,
        "boost": boost.pk,
    }


def _closes(person: User) -> MonthClose:
    """Return a close that somebody else asked for; and make a closed month with a statement."""
    other = UserFactory(username="closer", team=person.team, with_roles=[Role.FINANCE])
    made = [
        MonthClose.objects.create(
            month=month,
            checklist=[],
            digest="sha256:0",
            list_usd=0,
            cost_usd=0,
            justification="All of it was checked.",
            requested_by=other,
            requested_at=timezone.now(),
        )
        for month in (date(2025, 12, 1), date(2026, 1, 1))
    ]
    closed = MonthClose.objects.filter(pk=made[0].pk)
    closed.update(status="CLOSED", decided_by=person, decided_at=timezone.now())
    statement = Statement.objects.create(
        close=made[0],
        number="2025-12-001",
        list_usd=0,
        cost_usd=0,
        content={},
        digest="sha256:0",
        issued_at=timezone.now(),
    )
    ask_for([statement], now=timezone.now())
    record_failed(
        document=statement.document, reason="STORING", message="No space.", now=timezone.now()
    )
    return made[1]


def _doubted() -> QuarantinedRecord:
    """Return a record of a call that nobody can believe."""
    line = b'{"x-request-id": "not one", "response_code": 200, "gen_ai.request.model": "extract"}'
    ingest_usage(entries=read_lines([line]), via="FILE", now=timezone.now())
    return QuarantinedRecord.objects.get()


def _suites(owner: User) -> dict[str, object]:
    """Return revisions of suites by id: another owner's of the team, this one's, and the one that
    has packets.
    """
    other = UserFactory(username="owner2", team=owner.team, with_roles=[Role.MODEL_OWNER])
    asked = {
        name: ask_for_suite(
            upload=read_upload(suite_samples.document(slug=name.replace("_", "-"))),
            justification="Our own packets say more.",
            declared=True,
            actor=actor,
            now=timezone.now(),
        )
        for name, actor in (("suite", other), ("own_suite", owner))
    }
    return {name: row.pk for name, row in asked.items()}


def _capacity(engineer: User, reviewer: User) -> dict[str, object]:
    """Return requests by id: another engineer's, this one's, and one that failed; and a pool that
    has none.
    """
    other = UserFactory(
        username="platform2", team=engineer.team, with_roles=[Role.PLATFORM_ENGINEER]
    )
    asked = {}
    for pool, requester in (("gpu-a", other), ("gpu-b", engineer), ("gpu-c", engineer)):
        samples.found(pool)
        asked[pool] = capacity.request_capacity(
            pool=pool,
            base=1,
            wish=samples.WISH,
            justification=samples.WHY,
            requester=requester,
            now=timezone.now(),
        )
    samples.found("gpu-free")
    capacity.approve_capacity(
        request=asked["gpu-c"], approver=reviewer, reason="Fits.", now=timezone.now()
    )
    CapacityRequest.objects.filter(pk=asked["gpu-c"].pk).update(status="FAILED")
    names = {"capacity": "gpu-a", "own_capacity": "gpu-b", "failed_capacity": "gpu-c"}
    return {name: asked[pool].pk for name, pool in names.items()}


def _new_models(people: dict[str, User]) -> dict[str, object]:
    """Return requests for new models by id: a team lead's, and the owner's own."""
    owner = people["owner"]
    asked = {
        name: intakes.ask(requester, owner.team, name=f"asked-by-{requester.username}")
        for name, requester in (("intake", people["lead"]), ("own_intake", owner))
    }
    return {name: request.pk for name, request in asked.items()} | {"owner_team": owner.team_id}


def _keys(engineer: User) -> dict[str, object]:
    """Return two keys that sign: one that may be revoked, and one of which somebody asked it; and
    have the bucket looked at.
    """
    at = timezone.now()
    made = [FileSigner(ec.generate_private_key(ec.SECP256R1())) for _ in range(2)]
    first, second = (signers.record_signer(signer=key, now=at) for key in made)
    asked = signers.request_revocation(
        signer=first, justification="It was copied.", requester=engineer, now=at
    )
    record_bucket(bucket=settings.REGISTRY_BUCKET, settings=[], problem="", now=at)
    ids = {"signer": second.fingerprint, "asked_signer": first.fingerprint}
    return {**ids, "revocation": asked.pk}


def _people() -> dict[str, User]:
    found = {}
    for name, (slug, role) in PEOPLE.items():
        cost_center, _ = CostCenter.objects.get_or_create(code=f"CC-{slug}")
        team = Team.objects.filter(slug=slug).first() or TeamFactory(
            slug=slug, cost_center=cost_center
        )
        found[name] = UserFactory(
            username=name, subject=name, team=team, with_roles=[role] if role else []
        )
    return found


def _session(person: User) -> str:
    """Return the cookie of a session that this person has begun."""
    client = Client()
    client.force_login(person)
    return client.cookies[settings.SESSION_COOKIE_NAME].value


def _replica() -> Replica:
    """Return a replica that serves callers."""
    now = timezone.now()
    return Replica.objects.create(
        uid="replica", name="extract-v1-x", namespace="models", created_at=now, learned_at=now
    )


def _claim() -> NodeClaim:
    """Return a node claim that has ended."""
    now = timezone.now()
    return NodeClaim.objects.create(
        uid="claim", name="gpu-abc", created_at=now, learned_at=now, ended_at=now
    )


def _promotion(model, version, run, requester, **more):
    return Promotion.objects.create(
        registered_model=model, model_version=version, eval_run=run,
        manifest_digest=version.manifest_digest, policy_revision=promoted.policy(model),
        requested_by=requester, requested_at=timezone.now(), justification="Better codes.", **more,
        **promoted.bound(version, run, baseline=more.get("baseline")),
    )  # fmt: skip


def _episode(rollout: Rollout) -> Episode:
    """Make the incident of a rollout that failed."""
    words = "The engine did not start."
    found = open_episode(kind="ROLLOUT_FAILED", rollout=rollout, words=words, now=timezone.now())
    assert found is not None
    return found


def _burning(model: RegisteredModel) -> Episode:
    """Make the incident of a model whose budget burns, which holds its rollouts."""
    now, version = timezone.now(), promoted.version(model, 1)
    found = open_episode(
        kind="BURN", model=model, version=version, words="It burns.", is_page=True, now=now
    )
    assert found is not None
    cause = found.correlation_id
    hold_rollouts(model=model, cause=cause, words="It burns.", actor=WATCHER, now=now)
    return found


def _failed_rollout() -> Rollout:
    """Return a failed rollout of another model of the same owners."""
    owner_team = Team.objects.get(slug="ml-platform")
    model = RegisteredModelFactory(name="summary", owner_team=owner_team)
    # lately: an approval that is too old lets nobody try again
    return promoted.rolled(
        model, 1, status="FAILED", weight=0, decided_at=timezone.now() - timedelta(hours=1)
    )


def _retirement(model: RegisteredModel, owner: User) -> None:
    """Let a model have been due to go yesterday."""
    now = timezone.now()
    Retirement.objects.create(
        registered_model=model, last_day=now.date() - timedelta(days=1), announced_by=owner,
        announced_at=now - timedelta(days=40), note="Call the other one instead.",
    )  # fmt: skip


def _emergency(rollout: Rollout, proposer: User, engineer: User) -> Emergency:
    """Return an emergency that nobody has reviewed, of the model of a rollout."""
    model = rollout.registered_model
    version = promoted.version(model, 9)
    rolled = _promotion(
        model, version, promoted.run(version), proposer, status="EMERGENCY",
        decided_at=timezone.now(),
    )  # fmt: skip
    return Emergency.objects.create(
        promotion=rolled, proposed_by=proposer, requested_by=engineer, requested_at=timezone.now(),
        statement="Every claim is answered wrongly.", skipped=["It has no approval."],
        review_due_at=timezone.now() + timedelta(days=1),
    )  # fmt: skip


def _request(model, lead, status, **more) -> AccessRequest:
    return AccessRequest.objects.create(
        registered_model=model, team=lead.team, requested_by=lead, requested_at=timezone.now(),
        purpose="Reads packets",
        data_class="PHI", tokens_per_minute=1000, monthly_budget_usd=100, status=status,
        expires_date=timezone.now().date() + timedelta(days=30), **more,
    )  # fmt: skip


def _grant(request: AccessRequest) -> Grant:
    now = timezone.now()
    return Grant.objects.create(
        request=request, registered_model=request.registered_model, team=request.team,
        tokens_per_minute=1000,
        active_from=now - timedelta(days=1),
        active_to=now + timedelta(days=30),
    )  # fmt: skip
