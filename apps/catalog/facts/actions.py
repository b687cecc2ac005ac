"""Keeping what a version's files say. The worker calls it, in the transaction in which it says that
the version was verified.
"""

from dataclasses import fields
from datetime import datetime
from typing import Any

from apps.audit import actions as audit
from apps.audit.models import Action
from apps.catalog.facts.models import ModelFacts
from apps.catalog.facts.reading import READER, Facts
from apps.catalog.models import ModelVersion

WORKER = audit.System("catalog.reconcile_version")


def record_facts(*, version: ModelVersion, facts: Facts, now: datetime) -> ModelFacts:
    """Keep the facts that the present reader read. Once for each reader: the second time nothing
    changes.
    """
    values: dict[str, Any] = {each.name: getattr(facts, each.name) for each in fields(facts)}
    values |= {"problems": list(facts.problems), "digest": facts.digest, "read_at": now}
    row, is_new = ModelFacts.objects.get_or_create(version=version, reader=READER, defaults=values)
    if is_new:
        said = {"facts_digest": row.digest, "parameters": row.parameters, "context": row.context}
        audit.record(
            action=Action.VERSION_FACTS_READ, actor=WORKER, target=version, now=now, data=said
        )
    return row


def are_known(version: ModelVersion) -> bool:
    """Tell whether the present reader has read this version."""
    return ModelFacts.objects.filter(version=version, reader=READER).exists()
