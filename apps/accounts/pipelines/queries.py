"""Which rule of a pipeline counts, and who the people are that it names."""

import uuid

from django.db.models import Max

from apps.accounts.models import User
from apps.accounts.pipelines.models import PipelineRule, PipelineRun
from apps.accounts.pipelines.rules import TrustRule


def newest(name: str) -> PipelineRule | None:
    """Return the newest rule of a pipeline, ended or not; None for a name that has none."""
    return PipelineRule.objects.newest().filter(name=name).select_related("team").first()


def in_force() -> list[PipelineRule]:
    """Return the rule of each pipeline that is let in, by name."""
    newest_ones = PipelineRule.objects.newest().select_related("team")
    return [rule for rule in newest_ones if rule.ended_at is None]


def rules_of(name: str) -> list[PipelineRule]:
    """Return every rule that a pipeline had, the newest first."""
    rows = PipelineRule.objects.filter(name=name)
    return list(
        rows.select_related(
            "team", "change__requested_by", "change__decided_by", "change__before", "ended_by"
        )
    )


def runs_of(name: str, most: int) -> list[PipelineRun]:
    """Return the newest runs that signed in as a pipeline."""
    rows = PipelineRun.objects.filter(pipeline_rule__name=name)
    return list(rows.select_related("account", "pipeline_rule")[:most])


def last_seen() -> dict[str, object]:
    """Return when each pipeline signed in last, of those that did."""
    rows = PipelineRun.objects.values("pipeline_rule__name").annotate(at=Max("signed_in_at"))
    return {row["pipeline_rule__name"]: row["at"] for row in rows.order_by()}


def people_of(rule: TrustRule) -> dict[str, User]:
    """Return the accounts that a rule names, by user name, of those that there are."""
    names = [one.username for one in rule.pushers]
    found = User.objects.filter(username__in=names, acts_for=None)
    return {user.username: user for user in found}


def persons_of(rule: TrustRule) -> set[uuid.UUID]:
    """Return the people whom a rule names: the same on each of their accounts."""
    return {user.person for user in people_of(rule).values()}


def other_people(name: str, rule: TrustRule) -> list[str]:
    """Return which accounts of GitHub are somebody else by the rule of another pipeline, in words.
    What one person pushed must not count as another's, who may be left out of no decision then.

    name: of the pipeline whose rule it is.
    """
    mine = people_of(rule)
    found: list[str] = []
    for other in in_force():
        theirs = people_of(other.rule) if other.name != name else {}
        for one in rule.pushers:
            known = other.rule.pusher({"actor_id": one.github_id})
            here, there = mine.get(one.username), theirs.get(known.username if known else "")
            if here and there and here.person != there.person:
                found.append(
                    f"The account {one.github_id} of GitHub is {there.username} by the rule of "
                    f"{other.name}. One account belongs to one person."
                )
    return found


def unknown_people(rule: TrustRule) -> list[str]:
    """Return which people of a rule have never signed in here, or may not any more, in words."""
    known = people_of(rule)
    found = []
    for one in rule.pushers:
        user = known.get(one.username)
        if user is None:
            found.append(f"Nobody called {one.username} has signed in here.")
        elif not user.is_active:
            found.append(f"{user.name} ({one.username}) was deactivated.")
    return found
