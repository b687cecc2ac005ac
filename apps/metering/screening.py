"""Whether a record that can be read may be believed. Pure: what is known is handed in.

A doubt is no refusal: the record is kept in quarantine, and is counted once its cause is mended.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from apps.metering.access_log import UsageRecord
from apps.metering.models import Operation, Outcome
from apps.metering.quarantine.models import Doubt

# A start this much later than its arrival is no clock that is a little ahead.
FURTHEST_AHEAD = timedelta(hours=1)
# One call asks for at most as many answers (`n`), as OpenAI's API allows.
MOST_CHOICES = 128
# One call has at most as many texts, each as long as the context, as OpenAI's API allows.
MOST_INPUTS = 2048
WITH_MANY_INPUTS = (Operation.EMBEDDING, Operation.COMPLETION)
# No single card writes faster: an H100 wrote 2,625 tokens a second for 128 clients with a model of
# 8 billion parameters. A hundred times that is no measurement.
MOST_OUTPUT_PER_SECOND = 250_000
# What a call may have written before its first second is over, so that short calls are not judged
# by a duration that is rounded to nothing.
ROOM = 1.0


@dataclass(frozen=True)
class Known:
    """What usage may name.

    teams: their slugs. contexts: model → tokens of its context. versions: `<model>-v<n>`.
    since: the start of the first month that is kept.
    """

    teams: frozenset[str]
    contexts: Mapping[str, int]
    versions: frozenset[str]
    since: datetime


def doubt_of(
    record: UsageRecord, known: Known, *, received_at: datetime
) -> tuple[Doubt, str] | None:
    """Return why a record is not counted, as its kind and in words; None where nothing speaks
    against it.

    A refused or failed call may name what does not exist: that can be why it was refused.
    """
    return (
        _doubt_of_time(record, known, received_at)
        or (_doubt_of_names(record, known) if _was_answered(record) else None)
        or _doubt_of_counts(record, known)
    )


def _was_answered(record: UsageRecord) -> bool:
    return record.outcome in (Outcome.METERED, Outcome.UNMETERED)


def _doubt_of_time(
    record: UsageRecord, known: Known, received_at: datetime
) -> tuple[Doubt, str] | None:
    if record.occurred_at > received_at + FURTHEST_AHEAD:
        return Doubt.FUTURE, "start_time is more than an hour after the record was received"
    if record.occurred_at < known.since:
        return Doubt.TOO_OLD, f"start_time is before {known.since:%Y-%m-%d}, the first kept day"
    return None


def _doubt_of_names(record: UsageRecord, known: Known) -> tuple[Doubt, str] | None:
    if record.team not in known.teams:
        return Doubt.TEAM, "team is missing" if not record.team else "team names no team"
    if record.model not in known.contexts:
        return Doubt.MODEL, "gen_ai.request.model names no model of the catalog"
    if not record.version and record.outcome == Outcome.UNMETERED:
        return None  # its client left before a version was reached, or nothing tells which
    if record.version not in known.versions:
        return Doubt.VERSION, "gen_ai.request.model_override names no version of the catalog"
    if record.version.rpartition("-v")[0] != record.model:
        return Doubt.VERSION, "the version that answered is one of another model"
    return None


def _doubt_of_counts(record: UsageRecord, known: Known) -> tuple[Doubt, str] | None:
    if record.input_tokens is None or record.output_tokens is None:
        return None
    cached, context = record.cached_input_tokens or 0, known.contexts.get(record.model)
    if cached > record.input_tokens:
        return Doubt.ABSURD, "more cached input tokens than input tokens"
    inputs = MOST_INPUTS if record.operation in WITH_MANY_INPUTS else 1
    if context is not None and record.input_tokens > context * inputs:
        return Doubt.ABSURD, _too_much_input(context, inputs)
    if context is not None and record.output_tokens > context * MOST_CHOICES:
        return Doubt.ABSURD, f"more output tokens than {MOST_CHOICES} answers of {context:,} have"
    if record.duration_ms is not None:
        seconds = record.duration_ms / 1000 + ROOM
        if record.output_tokens > seconds * MOST_OUTPUT_PER_SECOND:
            return Doubt.ABSURD, "more output tokens than any card writes in that time"
    return None


def _too_much_input(context: int, inputs: int) -> str:
    if inputs == 1:
        return f"more input tokens than the model's context of {context:,}"
    return f"more input tokens than {inputs:,} texts of {context:,} have"
