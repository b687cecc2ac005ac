"""Signing a run in: GitHub Actions' own token, once it was checked, is believed by a rule, and
exchanged once for a token of the portal.

The account that acts is the pipeline's, one for each person who pushes, and it is that person where
decisions ask who somebody is: what a pipeline proposed is not decided by whoever pushed it.
"""

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction

from apps.accounts.models import User
from apps.accounts.pipelines import queries
from apps.accounts.pipelines.models import PipelineRule, PipelineRun
from apps.accounts.pipelines.rules import Pusher, Refusal, refusal
from apps.accounts.tokens import TokenRefused
from apps.audit.actions import record
from apps.audit.models import Action

LIFETIME = timedelta(minutes=15)
PREFIX = "qmp_"
NAMED = ("jti", "run_id", "run_attempt", "sha", "actor", "actor_id", "repository_id")


@dataclass(frozen=True)
class SignedIn:
    """A run that signed in. token: shown once, kept nowhere but as its digest."""

    token: str
    run: PipelineRun


def sign_in_run(*, claims: Mapping[str, Any], now: datetime) -> SignedIn:
    """Exchange the claims of a token that was checked. Raises TokenRefused, with why."""
    for name in NAMED:
        if not isinstance(claims.get(name), str) or not claims[name]:
            raise TokenRefused("missing_claim", f"The token lacks the claim {name}.")
    rule = _rule_for(claims)
    pusher = rule.rule.pusher(claims)
    assert pusher is not None, "a rule that fits names who pushed"  # noqa: S101
    return _keep(rule, _person(pusher), claims, now)


def _rule_for(claims: Mapping[str, Any]) -> PipelineRule:
    """Return the rule that believes a token; of those that do not, tell why the nearest does
    not.
    """
    refused: list[Refusal] = []
    for rule in queries.in_force():
        why = refusal(rule.rule, claims)
        if why is None:
            return rule
        refused.append(why)
    if not refused:
        raise TokenRefused("no_pipeline", "No pipeline is registered here.")
    nearest = max(refused, key=lambda one: one.step)
    raise TokenRefused(nearest.code, nearest.words)


def _person(pusher: Pusher) -> User:
    """Return the account of whoever pushed. Raises TokenRefused where it may not act any more."""
    user = User.objects.filter(username=pusher.username, acts_for=None).first()
    if user is None or not user.is_active:
        raise TokenRefused(
            "unknown_pusher", f"{pusher.login} is {pusher.username} here, who was deactivated."
        )
    return user


@transaction.atomic
def _keep(rule: PipelineRule, person: User, claims: Mapping[str, Any], now: datetime) -> SignedIn:
    account = _account(rule, person, now)
    token = PREFIX + secrets.token_urlsafe(32)
    try:
        with transaction.atomic():
            run = PipelineRun.objects.create(
                pipeline_rule=rule,
                account=account,
                token_id=claims["jti"][:255],
                run_id=claims["run_id"][:40],
                run_attempt=claims["run_attempt"][:10],
                sha=claims["sha"][:64],
                actor=claims["actor"][:60],
                digest=digest_of_token(token),
                signed_in_at=now,
                expires_at=now + LIFETIME,
            )
    except IntegrityError:
        raise TokenRefused(
            "replayed",
            "This token has signed a run in already: it is taken once. Ask GitHub for another.",
        ) from None
    facts = {name: claims.get(name, "") for name in _RECORDED} | {"rule": rule.number}
    record(action=Action.PIPELINE_SIGNED_IN, actor=account, target=rule, now=now, data=facts)
    return SignedIn(token, run)


_RECORDED = (
    "repository", "ref", "environment", "workflow_ref", "event_name", "sha", "run_id",
    "run_attempt", "actor", "actor_id", "jti",
)  # fmt: skip


def _account(rule: PipelineRule, person: User, now: datetime) -> User:
    """Return the pipeline's account for a person, made at their first push."""
    account, _ = User.objects.get_or_create(
        issuer=rule.rule.issuer,
        subject=f"pipeline:{rule.name}:{person.pk}",
        defaults={
            "username": _free_name(f"{rule.name}/{person.username}", person),
            "name": f"{rule.name} for {person.name}"[:200],
            "password": "!",  # noqa: S106 - none
            "person": person.person,
            "acts_for": person,
            "team": rule.team,
            "created_at": now,
        },
    )
    if account.person != person.person:  # accounts of theirs were found to be one person's
        User.objects.filter(pk=account.pk).update(person=person.person)
        account.person = person.person
    return account


def _free_name(name: str, person: User) -> str:
    """Return the account's name, told apart where another account has it: a long one is cut, and a
    person's name may hold a slash.
    """
    if User.objects.filter(username=name[:150]).exists():
        mark = f"#{person.pk}"
        return f"{name[: 150 - len(mark)]}{mark}"
    return name[:150]


def digest_of_token(token: str) -> str:
    """Return what is kept of a token."""
    return hashlib.sha256(token.encode()).hexdigest()
