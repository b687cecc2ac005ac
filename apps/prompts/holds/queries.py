"""Which holds cover what."""

from collections.abc import Iterable

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.fields import CharField
from django.db.models.functions import Cast

from apps.prompts.holds.models import LegalHold, Scope
from apps.prompts.models import DataKey, PromptRecord, PromptRecordQuerySet


def holds_over(keys: Iterable[DataKey]) -> list[LegalHold]:
    """Return the standing holds that cover a record under any of these keys, or their subject."""
    found = list(keys)
    records = PromptRecord.objects.filter(data_key__in=found)
    named = Q(pk__in=[])
    for kind, token in {(key.kind, key.token) for key in found}:
        named |= Q(scope=kind, value=token)
    teams = records.order_by().values("team").distinct()
    calls = records.order_by().annotate(call=Cast("call_id", CharField())).values("call")
    covering = named | Q(scope=Scope.TEAM, value__in=teams) | Q(scope=Scope.CALL, value__in=calls)
    return list(LegalHold.objects.standing().filter(covering).order_by("placed_at"))


def held(records: PromptRecordQuerySet) -> QuerySet[PromptRecord]:
    """Return those of some records that a standing hold covers."""
    return records.filter(_is_held())


def free(records: PromptRecordQuerySet) -> QuerySet[PromptRecord]:
    """Return those of some records that no standing hold covers."""
    return records.exclude(_is_held())


def _is_held() -> Exists:
    """Return the condition, as the database's function prompt_is_held has it."""
    call = Cast(OuterRef("call_id"), CharField())
    return Exists(
        LegalHold.objects.standing().filter(
            Q(scope=Scope.CALL, value=call)
            | Q(scope=Scope.TEAM, value=OuterRef("team"))
            | Q(scope=OuterRef("data_key__kind"), value=OuterRef("data_key__token"))
        )
    )
