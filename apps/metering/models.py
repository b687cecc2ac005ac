"""What was used: one row per call, and hourly sums that are recomputed from those rows, never
incremented.

event_id is the gateway's own request id; a record may arrive by OTLP and by file, any number of
times, and is one row. Only store.py, days.py and stores/ read UsageEvent.
"""

from django.db import models
from django.db.models import Case, Q, Value, When

from apps.accounts.models import User
from apps.common.ids import ordered_id
from apps.common.persons import opaque_id

# Django finds an app's models through this module only
from apps.metering.archive import models as archive_models  # noqa: F401
from apps.metering.backfill import models as backfill_models  # noqa: F401
from apps.metering.gate import models as gate_models  # noqa: F401
from apps.metering.gate.counts import Basis
from apps.metering.met import models as met_models  # noqa: F401
from apps.metering.performance import models as performance_models  # noqa: F401
from apps.metering.quarantine.models import Doubt
from apps.metering.via import VIA


class Outcome(models.TextChoices):
    """What a call is to the ledger."""

    METERED = "METERED", "Metered"
    # reached a model, but the answer's usage is unknown: see Unmetered
    UNMETERED = "UNMETERED", "Unmetered"
    REFUSED = "REFUSED", "Refused"  # 4xx: nothing was generated. See REFUSALS
    FAILED = "FAILED", "Failed"  # 5xx, or an upstream error without usage


class Operation(models.TextChoices):
    """What kind of call it was. "" in a record that does not tell: not known, and not a chat."""

    CHAT = "CHAT", "Chat"
    COMPLETION = "COMPLETION", "Completion"
    EMBEDDING = "EMBEDDING", "Embedding"
    RERANK = "RERANK", "Rerank"
    OTHER = "OTHER", "Another kind"


# why the gateway refused a call, by its response code
REFUSALS = {
    400: "bad request, or content that a guardrail refuses",
    401: "no valid token",
    402: "budget spent",
    403: "no access to the model",
    404: "no such model",
    413: "too large",
    429: "over the limit",
}
# why nothing answered a call that was not refused, by its response code
FAILURES = {
    502: "the gate, or another part of the gateway, was away",
    503: "no replica was ready",
}


class Unmetered(models.TextChoices):
    """Why an answer did not tell what its call used, or not to its end, as far as the access log
    and the gate tell it.
    """

    CLIENT_LEFT = "CLIENT_LEFT", "Its client left before the answer ended"
    ENGINE_BROKE_OFF = "ENGINE_BROKE_OFF", "The engine broke off its answer"
    GATEWAY_FAILED = "GATEWAY_FAILED", "A part of the gateway failed during the answer"
    TOOK_TOO_LONG = "TOOK_TOO_LONG", "The gateway ended it: it took too long"
    ENDED_EARLY = "ENDED_EARLY", "It ended early, by the gate or without its usage"
    NO_USAGE_TOLD = "NO_USAGE_TOLD", "The whole answer came, but it told no usage"
    UNKNOWN = "UNKNOWN", "It is not known why"


class Completeness(models.TextChoices):
    """How much of a call is known. What is not complete used more than anybody counted, but where
    the gate did: then it was charged up to where it was cut.
    """

    COMPLETE = "COMPLETE", "Complete"
    ABORTED = "ABORTED", "Aborted"  # its client left before the answer ended
    # answered, but its usage never came: Envoy AI Gateway 1.1 loses the usage of a stream whose
    # client hangs up after the last event (ai-gateway#2563), and some shapes of call tell none
    ENDED_EARLY = "ENDED_EARLY", "Ended early"
    FAILED = "FAILED", "Failed"  # the engine, the gateway or a time limit broke it off


BROKE_OFF = (Unmetered.ENGINE_BROKE_OFF, Unmetered.GATEWAY_FAILED, Unmetered.TOOK_TOO_LONG)


def _completeness() -> Case:
    """Return how much of a call is known, from its outcome and the reason why it has no usage. A
    refusal is complete: nothing was generated.
    """
    return Case(
        When(
            Q(outcome=Outcome.FAILED) | Q(unmetered_because__in=BROKE_OFF),
            then=Value(Completeness.FAILED.value),
        ),
        When(
            unmetered_because=Unmetered.CLIENT_LEFT.value,
            then=Value(Completeness.ABORTED.value),
        ),
        When(
            Q(outcome=Outcome.UNMETERED.value) | Q(unmetered_because=Unmetered.ENDED_EARLY.value),
            then=Value(Completeness.ENDED_EARLY.value),
        ),
        default=Value(Completeness.COMPLETE.value),
    )


class UsageEvent(models.Model):
    """One call through the gateway, as its access log tells it. Immutable.

    Its table is cut into UTC days, made by the database's function make_usage_day; an id is unique
    within its day.
    """

    event_id = models.UUIDField(primary_key=True)
    occurred_at = models.DateTimeField()  # the call's start
    received_at = models.DateTimeField()
    received_via = models.CharField(max_length=4, choices=VIA)
    outcome = models.CharField(max_length=10, choices=Outcome.choices)
    team = models.CharField(max_length=63, blank=True, default="")
    cost_center = models.CharField(max_length=32, blank=True, default="")
    user_id = models.CharField(max_length=255, blank=True, default="")  # the token's subject
    model = models.CharField(max_length=40, blank=True, default="")  # what the caller asked for
    # what answered: `<model>-v<n>`
    version = models.CharField(max_length=63, blank=True, default="")
    # empty: the gateway did not tell, as before its log named the path
    operation = models.CharField(max_length=10, choices=Operation.choices, blank=True, default="")
    route = models.CharField(max_length=255, blank=True, default="")
    response_code = models.PositiveSmallIntegerField()
    response_flags = models.CharField(max_length=64, blank=True, default="")
    input_tokens = models.BigIntegerField(null=True, blank=True)
    cached_input_tokens = models.BigIntegerField(null=True, blank=True)
    output_tokens = models.BigIntegerField(null=True, blank=True)
    # what the gate made of what passed, of a call whose usage nobody told; in no other figure
    estimated_input_tokens = models.BigIntegerField(null=True, blank=True)
    estimated_output_tokens = models.BigIntegerField(null=True, blank=True)
    duration_ms = models.PositiveIntegerField(null=True, blank=True)
    ttft_ms = models.FloatField(null=True, blank=True)
    basis = models.CharField(max_length=10, choices=Basis.choices, blank=True, default="")
    # empty for every other outcome but a metered call that the gate counted up to where it was cut,
    # and for calls that were stored before there were reasons
    unmetered_because = models.CharField(
        max_length=16, choices=Unmetered.choices, blank=True, default=""
    )
    completeness = models.GeneratedField(
        expression=_completeness(),
        output_field=models.CharField(max_length=12, choices=Completeness.choices),
        db_persist=True,
    )

    class Meta:
        indexes = (
            models.Index(fields=("occurred_at",), name="usage_event_by_time"),
            models.Index(fields=("team", "-occurred_at"), name="usage_event_by_team"),
            models.Index(fields=("model", "-occurred_at"), name="usage_event_by_model"),
        )
        constraints = (
            models.CheckConstraint(
                condition=~Q(outcome="METERED")
                | Q(operation="RERANK")  # counted as a request, whatever it read
                | Q(input_tokens__isnull=False, output_tokens__isnull=False),
                name="usage_event_metered_has_tokens",
            ),
            models.CheckConstraint(
                condition=Q(outcome="UNMETERED")
                | Q(unmetered_because="")
                | Q(outcome="METERED", basis__in=("USAGE", "COUNTED")),
                name="usage_event_reason_only_if_not_whole",
            ),
            models.CheckConstraint(
                condition=Q(basis="ESTIMATED")
                | Q(estimated_input_tokens__isnull=True, estimated_output_tokens__isnull=True),
                name="usage_event_estimated_where_it_says_so",
            ),
            models.CheckConstraint(
                condition=~Q(outcome="METERED", basis="ESTIMATED"),
                name="usage_event_estimate_is_not_metered",
            ),
        )

    def __str__(self) -> str:
        return str(self.event_id)

    @property
    def person(self) -> str:
        """Return the opaque id of who called; "" where the call names nobody."""
        return opaque_id(self.user_id)

    @property
    def why(self) -> str:
        """Return in words why a call has no usage, or not all of it: why it was refused, failed, is
        unmetered, or was counted only up to where it was cut.
        """
        if self.outcome == Outcome.REFUSED:
            return REFUSALS.get(self.response_code, "")
        if self.outcome == Outcome.FAILED:
            return FAILURES.get(self.response_code, "")
        return self.why_unmetered or self.why_cut

    @property
    def why_unmetered(self) -> str:
        """Return in words why its usage is unknown; nothing where it is known, or none was due."""
        if self.outcome != Outcome.UNMETERED:
            return ""
        return str(Unmetered(self.unmetered_because or Unmetered.UNKNOWN).label)

    @property
    def why_cut(self) -> str:
        """Return in words why a metered call was counted only up to where it was cut."""
        if self.outcome != Outcome.METERED or not self.unmetered_because:
            return ""
        return str(Unmetered(self.unmetered_because).label)


class CallKey(models.Model):
    """The key of a call that another store than Postgres holds: a call counts where its key is.
    Immutable, and kept by UTC day as the calls themselves are here. hash: of all that is stored.
    """

    event_id = models.UUIDField(primary_key=True)
    occurred_at = models.DateTimeField()
    received_at = models.DateTimeField()
    hash = models.BigIntegerField()

    class Meta:
        indexes = (models.Index(fields=("occurred_at",), name="call_key_by_time"),)

    def __str__(self) -> str:
        return str(self.event_id)


class HourlyUsage(models.Model):
    """The sum of one hour's events for one cost center, team, model and version. hour: its start,
    UTC.
    """

    hour = models.DateTimeField()
    cost_center = models.CharField(max_length=32, blank=True, default="")
    team = models.CharField(max_length=63, blank=True, default="")
    model = models.CharField(max_length=40, blank=True, default="")
    version = models.CharField(max_length=63, blank=True, default="")
    metered_calls = models.PositiveIntegerField()
    unmetered_calls = models.PositiveIntegerField()
    refused_calls = models.PositiveIntegerField()
    # of the refused calls, those answered with this code; the rest had another one
    refused_400_calls = models.PositiveIntegerField(default=0)
    refused_401_calls = models.PositiveIntegerField(default=0)
    refused_402_calls = models.PositiveIntegerField(default=0)
    refused_403_calls = models.PositiveIntegerField(default=0)
    refused_404_calls = models.PositiveIntegerField(default=0)
    refused_413_calls = models.PositiveIntegerField(default=0)
    refused_429_calls = models.PositiveIntegerField(default=0)
    failed_calls = models.PositiveIntegerField()
    # of the failed calls, those answered with this code
    failed_502_calls = models.PositiveIntegerField(default=0)
    failed_503_calls = models.PositiveIntegerField(default=0)
    # of the unmetered calls: the others were broken off by the engine, the gateway or a time limit
    aborted_calls = models.PositiveIntegerField(default=0)
    ended_early_calls = models.PositiveIntegerField(default=0)
    # of the metered calls: cut off, and counted by the gate up to there
    counted_calls = models.PositiveIntegerField(default=0)
    # of the metered calls: no engine told how much of their input was cached
    cached_unknown_calls = models.PositiveIntegerField(default=0)
    # of the unmetered calls, those whose usage the gate or the engine's own counters tell: see
    # estimates.py
    estimated_calls = models.PositiveIntegerField(default=0)
    estimated_input_tokens = models.BigIntegerField(default=0)
    estimated_cached_input_tokens = models.BigIntegerField(default=0)  # of the input tokens
    estimated_output_tokens = models.BigIntegerField(default=0)
    input_tokens = models.BigIntegerField()
    cached_input_tokens = models.BigIntegerField()
    # of the input tokens, those that embedding calls read
    embedding_input_tokens = models.BigIntegerField(default=0)
    output_tokens = models.BigIntegerField()
    rerank_requests = models.BigIntegerField(default=0)  # answered; their tokens are in no count
    rolled_up_at = models.DateTimeField()

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=("hour", "cost_center", "team", "model", "version"),
                name="hourly_usage_once_per_dimension",
            ),
        )
        indexes = (
            # most hours of a team and version have none
            models.Index(
                fields=("hour", "model", "team"),
                name="hourly_usage_unanswered",
                condition=Q(refused_calls__gt=0) | Q(failed_calls__gt=0),
            ),
        )

    def __str__(self) -> str:
        return f"{self.hour:%Y-%m-%d %H:00} {self.team} {self.version}"


class EngineHour(models.Model):
    """What the engines of a version counted in one hour, kept for longer than the minutes that it
    was read from. is_whole: they were watched for all the time in which they could answer.
    """

    hour = models.DateTimeField()
    version = models.CharField(max_length=63)  # `<model>-v<n>`
    prompt_tokens = models.BigIntegerField()
    generation_tokens = models.BigIntegerField()
    # NULL: the engine did not tell; see fleet/metrics/counts.py
    cached_prompt_tokens = models.BigIntegerField(null=True, blank=True)
    further_answers = models.BigIntegerField(null=True, blank=True)
    is_whole = models.BooleanField()
    recorded_at = models.DateTimeField()

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("hour", "version"), name="engine_hour_per_version"),
        )

    def __str__(self) -> str:
        return f"{self.hour:%Y-%m-%d %H:00} {self.version}"


class DirtyHour(models.Model):
    """An hour whose events changed since its last roll-up."""

    hour = models.DateTimeField(primary_key=True)
    marked_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.hour:%Y-%m-%d %H:00}"


class SealedHour(models.Model):
    """An hour that no call is expected for any more, nor for any hour before it: each of them is
    added up.
    """

    hour = models.DateTimeField(primary_key=True)
    sealed_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.hour:%Y-%m-%d %H:00}"


class LateUsage(models.Model):
    """What changed in an hour after it was sealed. It is in the hour's sums all the same.

    calls: how many came; below 0, how many were taken out.
    """

    hour = models.DateTimeField()
    calls = models.IntegerField()
    recorded_at = models.DateTimeField()

    class Meta:
        indexes = (models.Index(fields=("hour",), name="late_usage_by_hour"),)
        constraints = (models.CheckConstraint(condition=~Q(calls=0), name="late_usage_is_some"),)

    def __str__(self) -> str:
        return f"{self.hour:%Y-%m-%d %H:00} {self.calls:+}"


class UsageImport(models.Model):
    """What came of a file whose lines were counted; see imports.py. Immutable.

    quarantined: kind of doubt → records. imported_by: None for the command.
    """

    id = models.UUIDField(primary_key=True, default=ordered_id, editable=False)
    name = models.CharField(max_length=200)
    sha256 = models.CharField(max_length=64)
    size_bytes = models.BigIntegerField()
    lines = models.PositiveIntegerField()
    taken = models.PositiveIntegerField()
    doubles = models.PositiveIntegerField()
    others = models.PositiveIntegerField()
    quarantined = models.JSONField(default=dict)
    imported_by = models.ForeignKey(
        User, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    imported_at = models.DateTimeField()

    class Meta:
        ordering = ("-imported_at", "-id")
        indexes = (models.Index(fields=("-imported_at", "-id"), name="usage_import_newest"),)

    def __str__(self) -> str:
        return self.name

    @property
    def words(self) -> str:
        """Return what came of it: "3 lines: 1 call taken, 1 stored before, 1 in quarantine (Unknown
        team: 1)."
        """
        parts = [f"{self.taken:,} call{'' if self.taken == 1 else 's'} taken"]
        if self.doubles:
            parts.append(f"{self.doubles:,} stored before")
        if self.others:
            parts.append(f"{self.others:,} no usage")
        if self.quarantined:
            kinds = ", ".join(f"{Doubt(kind).label}: {n:,}" for kind, n in self.quarantined.items())
            parts.append(f"{sum(self.quarantined.values()):,} in quarantine ({kinds})")
        return f"{self.lines:,} line{'' if self.lines == 1 else 's'}: {', '.join(parts)}."


class LogPosition(models.Model):
    """How far the follower has read the gateway's file log. inode tells a rotated file from the
    same one.
    """

    path = models.CharField(max_length=400, primary_key=True)
    inode = models.BigIntegerField()
    offset = models.BigIntegerField()
    updated_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.path} @ {self.offset}"
