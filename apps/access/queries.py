"""Reads over grants and requests: what a team has of many models, at once."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from apps.access.models import AccessRequest, Grant
from apps.accounts.models import User
from apps.accounts.roles import ASKS_FOR_MODELS
from apps.catalog.models import RegisteredModel


@dataclass(frozen=True)
class TeamAccess:
    """What a person's team has of a model: a grant in force, a request that waits, or neither."""

    grant: Grant | None = None
    pending: AccessRequest | None = None
    may_ask: bool = False

    @property
    def words(self) -> str:
        """Return it in words, for files."""
        if self.grant:
            return f"granted until {self.grant.last_day}"
        return "asked" if self.pending else "no access"


def team_access(
    models: Iterable[RegisteredModel], user: User, now: datetime
) -> dict[int, TeamAccess]:
    """Return model → what the person's team has of it; two queries, however many models."""
    keys = [model.pk for model in models]
    mine = {"registered_model__in": keys, "team": user.team_id}
    grants = {row.registered_model_id: row for row in Grant.objects.active(now).filter(**mine)}
    waiting = AccessRequest.objects.pending().filter(**mine)
    pending = {row.registered_model_id: row for row in waiting}
    may_ask = user.has_role(*ASKS_FOR_MODELS)
    return {key: TeamAccess(grants.get(key), pending.get(key), may_ask) for key in keys}
