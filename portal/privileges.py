"""What the portal's database role may do, table by table: exactly what the code does, and no more.

A model that is not named here cannot be used at all (a test names it). Whoever writes a new UPDATE,
INSERT or DELETE, or calls a function of the owner, adds it here; `manage.py grant_privileges` makes
the database say the same. Which change of a row is a step that the code makes, and which is not, is
the business of the triggers in the apps' migrations.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from django.apps import apps
from django.db.models import Model


@dataclass(frozen=True)
class AllBut:
    """Every column but the primary key and these fields."""

    fields: tuple[str, ...] = ()


@dataclass(frozen=True)
class May:
    """What the role may do with one table. update: the fields whose columns it may change."""

    read: bool = True
    insert: bool = False
    update: tuple[str, ...] | AllBut = ()
    delete: bool = False


NOTHING = May(read=False)
READ = May()
# A fact: written once, never changed or taken away.
FACT = May(insert=True)
RECONCILED = (
    "next_check_at",
    "attempts",
    "generation",
    "observed_generation",
    "reason",
    "message",
    "observed_at",
)
# Who decided what somebody asked for, when and why; and a row of which nothing else changes.
DECIDED = ("status", "decided_by", "decided_at", "decision_reason")
ASKED = May(insert=True, update=DECIDED)
STORED = ("object_key", "version_id", "sha256", "size_bytes")  # which object of a bucket it is
OBSERVED = May(insert=True, update=AllBut(("uid", "name", "created_at", "learned_at")))

PRIVILEGES: dict[str, May] = {
    # Django's own
    "auth.Group": NOTHING,
    "auth.Group_permissions": NOTHING,
    "auth.Permission": NOTHING,
    "contenttypes.ContentType": NOTHING,
    "sessions.Session": May(insert=True, update=("session_data", "expire_date"), delete=True),
    # the record
    "audit.AuditEvent": FACT,
    # a trigger writes it with the event; the sealer takes it away when it has sealed the event
    "audit.Unsealed": May(insert=True, delete=True),
    "audit.AuditSeal": FACT,
    "audit.AuditTile": FACT,
    "audit.Checkpoint": May(insert=True, update=("anchored_at", "problem")),
    "audit.Verification": FACT,
    # models that go
    "catalog.Retirement": May(
        insert=True,
        update=(
            "last_day",
            "successor",
            "note",
            "status",
            "ended_by",
            "ended_at",
            "end_reason",
            "callers_at_end",
        ),
    ),
    # people
    "accounts.CostCenter": FACT,
    "accounts.Team": May(insert=True, update=("cost_center",)),
    "accounts.User": May(insert=True, update=("name", "email", "person", "team", "last_login")),
    "accounts.Membership": May(insert=True, update=("active_to",)),
    "accounts.RoleBinding": May(insert=True, delete=True),
    "accounts.PipelineChange": ASKED,
    "accounts.PipelineRule": May(insert=True, update=("ended_at", "ended_by", "end_reason")),
    "accounts.PipelineRun": FACT,
    "accounts.RoleReview": ASKED,
    # what people are told
    "notices.Notice": May(insert=True, update=("read_at", "letter"), delete=True),
    "notices.Letter": May(
        insert=True, update=(*RECONCILED, "status", "sent_at", "sent_to"), delete=True
    ),
    "notices.Choice": May(insert=True, update=("by_email", "changed_at")),
    "notices.Webhook": May(
        insert=True,
        update=(
            "kinds",
            "secret_number",
            "secret_changed_at",
            "failures",
            "stopped_at",
            "removed_at",
        ),
    ),
    "notices.Call": May(
        insert=True, update=(*RECONCILED, "status", "sent_at", "status_code"), delete=True
    ),
    # models and their versions
    # Nothing of it changes. To lock a row takes the right to update some column of it, so this is
    # the one that a trigger holds.
    "catalog.RegisteredModel": May(insert=True, update=("name",)),
    "catalog.ModelVersion": May(
        insert=True,
        update=(
            *RECONCILED,
            "status",
            "manifest_digest",
            "signature_digest",
            "signer",
            "locked_until",
            "bytes_verified",
            "verified_at",
            "protection",
        ),
    ),
    "catalog.ModelFile": May(
        insert=True,
        update=(
            "upload_id",
            "parts",
            "uploaded_at",
            "object_version",
            "read_back_at",
            "range_digests",
            "verified_at",
        ),
    ),
    "catalog.ModelFacts": FACT,
    "catalog.CardFigures": FACT,
    "catalog.ModelIntake": May(insert=True, update=(*DECIDED, "registered_model")),
    "catalog.EngineReport": FACT,
    "catalog.SizingJob": May(insert=True, update=(*RECONCILED, "finished_at")),
    "catalog.Signer": May(insert=True, update=("kind", "key_id", "active_to", "revoked_at")),
    "catalog.SignerRevocation": May(insert=True, update=(*DECIDED, "versions")),
    "catalog.Verification": May(
        insert=True,
        update=(
            *RECONCILED,
            "status",
            "ranges_done",
            "bytes_done",
            "finished_at",
            "file",
            "first_byte",
            "last_byte",
        ),
    ),
    "catalog.BucketState": May(insert=True, update=("checked_at", "settings", "problem")),
    # evaluations
    "evals.EvalSuite": ASKED,
    "evals.SuitePacket": FACT,
    "evals.EvalRun": May(
        insert=True,
        update=(
            *RECONCILED,
            "status",
            "serving_at",
            "finished_at",
            "removed_at",
            "deploy_commit",
            "remove_commit",
            "canceled_by",
            "packets_done",
            "machines",
            "stumbles",
            "cost_usd",
            "engine",
            "baseline_engine",
            "instance_type",
            "metrics",
            "baseline_metrics",
            "judgement",
            "report_digest",
            "report_key",
        ),
    ),
    "evals.EvalPacketResult": FACT,
    "evals.EvalReport": FACT,
    # access
    "access.AccessRequest": May(insert=True, update=(*DECIDED, "decision_seen")),
    "access.Grant": May(insert=True, update=("revoked_at", "revoked_by", "revoke_reason")),
    "access.Recertification": FACT,
    "access.Budget": May(insert=True, update=("active_to", "ended_by", "end_reason")),
    "access.BudgetChange": ASKED,
    "access.Boost": ASKED,
    "access.BoostEnd": FACT,
    "access.BudgetAlert": FACT,
    # what the gateway's gate holds and counts; a worker gives back, joins and forgets
    "access.Counter": May(insert=True, update=("reserved", "used", "is_ready"), delete=True),
    "access.BudgetReservation": May(insert=True, update=("expires_at",), delete=True),
    "access.SettledCall": May(insert=True, update=("summed_at",), delete=True),
    # what the observer saw
    "fleet.NodePool": OBSERVED,
    "fleet.NodeClaim": OBSERVED,
    "fleet.Node": OBSERVED,
    "fleet.Replica": OBSERVED,
    "fleet.NodeInterval": May(
        insert=True, update=AllBut(("node_claim", "started_at")), delete=True
    ),
    "fleet.ReplicaPhase": FACT,
    "fleet.ClusterEvent": May(insert=True, update=AllBut(("learned_at",)), delete=True),
    "fleet.Observation": May(insert=True, update=AllBut()),
    # what machines cost by AWS's word and by contracts
    "fleet.NodePrice": FACT,
    "fleet.PriceOverride": May(insert=True, update=("active_to",)),
    "fleet.PriceFeed": May(insert=True, update=AllBut()),
    # what was measured, for as long as settings keep it
    "fleet.ScrapeTarget": May(insert=True, update=AllBut(("kind", "name")), delete=True),
    "fleet.GpuDevice": May(
        insert=True,
        update=AllBut(("uuid", "instance_id", "profile", "first_seen_at")),
        delete=True,
    ),
    "fleet.UtilizationSample": May(insert=True, update=AllBut(("device", "minute")), delete=True),
    "fleet.ReplicaSample": May(insert=True, update=AllBut(("replica", "minute")), delete=True),
    # capacity
    "capacity.NodePoolRevision": FACT,
    "capacity.CapacityRequest": May(
        insert=True,
        update=(
            *RECONCILED,
            *DECIDED,
            "commit",
            "moved_at",
            "finished_at",
        ),
    ),
    # promotions and rollouts
    "promotions.Promotion": May(
        insert=True, update=("status", "decided_at", "voided_at", "void_reason", "cost_effect")
    ),
    "promotions.Approval": May(insert=True, update=("voided_at", "void_reason")),
    "promotions.Emergency": May(insert=True, update=(*DECIDED, "overdue_told_at")),
    "promotions.KeptBytes": FACT,
    "promotions.PolicyRevision": FACT,
    "promotions.PolicyChange": ASKED,
    "promotions.Rollout": May(
        insert=True,
        update=(
            *RECONCILED,
            "attempt",
            "status",
            "paused_at",
            "weight",
            "health",
            "unready_since",
            "return_reason",
            "return_message",
            "engine",
            "instance_type",
            "container",
            "checks",
            "differences",
            "drifted_at",
            "moved_at",
            "finished_at",
        ),
    ),
    "promotions.RolloutCommit": May(insert=True, update=("observed_at", "lost_at")),
    "promotions.GateResult": FACT,
    "promotions.ChangeRecord": May(
        insert=True,
        update=AllBut(("promotion", "kind", "correlation_id", "fields", "asked_at")),
    ),
    "promotions.RolloutPhase": FACT,
    "promotions.RolloutHold": May(insert=True, update=("ended_at", "lifted_by", "reason")),
    # objectives
    "slo.Objective": May(
        insert=True,
        update=(
            "target_percent",
            "threshold_ms",
            "window_days",
            "holds_rollouts",
            "revision",
            "set_at",
            "ended_at",
        ),
    ),
    "slo.ObjectiveRevision": FACT,
    "slo.Standing": May(insert=True, update=AllBut(("objective",)), delete=True),
    # incidents
    "incidents.Episode": May(
        insert=True,
        update=AllBut(("kind", "rollout", "registered_model", "opened_at", "correlation_id")),
    ),
    "incidents.EpisodeNote": May(insert=True, update=("sent_at",)),
    # usage
    "metering.UsageEvent": FACT,
    "metering.CallKey": FACT,
    "metering.QuarantinedRecord": May(
        insert=True,
        update=("status", "doubt", "detail", "resolved_at", "resolved_by", "resolution"),
    ),
    # a day is dropped and brought back by the owner's functions alone, which say so
    "metering.ArchivedDay": May(
        insert=True, update=AllBut(("day", "asked_at", "dropped_at", "restored_at"))
    ),
    "metering.CheckedDay": May(insert=True, update=("checked_at",)),
    "metering.EngineHour": FACT,
    "metering.HourlyUsage": May(insert=True, delete=True),
    "metering.DirtyHour": May(insert=True, update=("marked_at",), delete=True),
    "metering.SealedHour": FACT,
    "metering.Performance": May(insert=True, update=AllBut(("version",))),
    "metering.MetCalls": May(insert=True, delete=True),
    "metering.LateUsage": FACT,
    "metering.LostCall": May(insert=True, delete=True),
    "metering.CountDifference": FACT,
    "metering.Backfill": May(insert=True, update=("stored_until", "finished_at")),
    "metering.UsageImport": FACT,
    "metering.LogPosition": May(insert=True, update=("inode", "offset", "updated_at")),
    # money
    "chargeback.MonthClose": ASKED,
    "chargeback.ClosedMachine": FACT,
    "chargeback.Statement": FACT,
    "chargeback.StatementLine": FACT,
    "chargeback.BillFeed": May(insert=True, update=(*RECONCILED, "seen_etag", "etag", "read_at")),
    "chargeback.Bill": May(insert=True, update=("replaced_at",)),
    "chargeback.BillLine": May(insert=True, delete=True),
    "chargeback.StatementDocument": May(
        insert=True,
        update=(
            *RECONCILED,
            "status",
            *STORED,
            "made_at",
        ),
    ),
    "chargeback.PriceChange": ASKED,
    "chargeback.EstimateRule": FACT,
    "chargeback.Rate": May(insert=True, update=("active_to", "replaced_by")),
    "chargeback.Spend": May(insert=True, delete=True),
    "chargeback.DailyLine": May(insert=True, delete=True),
    "chargeback.MonthlyLine": May(insert=True, delete=True),
    "chargeback.DayTotal": May(insert=True, delete=True),
    # a trigger of the hourly sums writes it, as the portal
    "chargeback.DirtyDay": May(insert=True, update=("marked_at",), delete=True),
    "chargeback.AllocatedDay": May(insert=True, update=AllBut()),
    "chargeback.Allocation": May(insert=True, delete=True),
    "chargeback.MonthlyAllocation": May(insert=True, delete=True),
    "chargeback.DayFact": May(insert=True, delete=True),
    # views of lines and shares
    "chargeback.DayFigure": READ,
    "chargeback.MonthFigure": READ,
    # triggers of what a day rests on write it, as the portal
    "chargeback.ChangedDay": May(insert=True, update=("changed_at",), delete=True),
    # oversight
    "oversight.EvidencePack": May(
        insert=True,
        update=(
            *RECONCILED,
            "status",
            "checkpoint_size",
            "done",
            "total",
            "working_on",
            *STORED,
            "made_at",
        ),
    ),
    # what the gateway's guard looks for, and what it found
    "gateway.GuardrailChange": ASKED,
    "gateway.GuardrailRevision": FACT,
    "gateway.GuardHit": May(insert=True, update=("mark", "marked_by", "marked_at")),
    # prompts: the gate writes the first three, and what a call's answer adds to its record
    "prompts.PromptRecord": May(
        insert=True,
        update=(
            "outcome",
            "refused_by",
            "rules_hit",
            "verdict",
            "request_bytes",
            "answer_bytes",
            "version",
            "place",
            "pack",
        ),
        delete=True,
    ),
    "prompts.PromptText": May(insert=True, update=("ciphertext", "offset"), delete=True),
    "prompts.DataKey": May(insert=True, update=("wrapped", "destroyed_at")),
    "prompts.PromptPack": May(
        insert=True,
        update=(
            *RECONCILED,
            "status",
            *STORED,
            "stored_at",
            "removed_at",
        ),
    ),
    "prompts.LostPrompts": May(insert=True, update=("count",)),
    "prompts.RetentionChange": ASKED,
    "prompts.RetentionRevision": FACT,
    "prompts.LegalHold": May(insert=True, update=("lifted_at",)),
    "prompts.HoldRelease": ASKED,
    "prompts.ErasureRequest": May(insert=True, update=(*DECIDED, "receipt", "receipt_digest")),
    "prompts.Reading": FACT,
    "prompts.NamedReader": May(insert=True, update=("active_to",)),
    # policy
    "gateway.PolicyRevision": May(
        insert=True, update=(*RECONCILED, "status", "digest", "commit", "published_at")
    ),
    # what the gateway does, as it was read back
    "gateway.GatewayLook": May(insert=True, update=AllBut()),
    "gateway.RouteReading": May(insert=True, update=("cluster", "envoy")),
    "gateway.GatewayDrift": May(insert=True, update=("declared", "found", "seen_at", "ended_at")),
    # spans: whole hours of them are taken away, by drop_old_spans
    "traces.Span": FACT,
}

# Functions of the owner that the role may call: each does one thing that the role may not do itself
# and refuses everything else.
FUNCTIONS = (
    "make_usage_day(date)",
    "make_key_day(date)",
    "drop_usage_day(date, timestamptz)",
    "drop_key_day(date, timestamptz)",
    "restore_usage_day(date, timestamptz)",
    "restore_key_day(date, timestamptz)",
    "take_out_usage_event(uuid, timestamptz)",
    "take_out_call_key(uuid, timestamptz)",
    "shared_usage_ids(date, date)",
    "shared_key_ids(date, date)",
    "drop_old_spans()",
)


def columns(model: type[Model], fields: Sequence[str] | AllBut) -> list[str]:
    """Return the columns of a model's fields. Raises KeyError for a field it lacks."""
    known = {field.name: str(field.column) for field in model._meta.concrete_fields}
    if not isinstance(fields, AllBut):
        return [known[name] for name in fields]
    kept = {known[name] for name in fields.fields} | {str(model._meta.pk.column)}
    return [column for column in known.values() if column not in kept]


def statements(role: str, quote: Callable[[str], str]) -> Iterator[str]:
    """Yield the SQL that leaves `role` with exactly these privileges. quote: for names in SQL."""
    to = quote(role)
    yield f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {to}"
    yield f"REVOKE ALL ON ALL SEQUENCES IN SCHEMA public FROM {to}"
    yield f"REVOKE CREATE ON SCHEMA public FROM PUBLIC, {to}"
    yield f"GRANT USAGE ON SCHEMA public TO {to}"
    yield f"GRANT SELECT ON TABLE {quote('django_migrations')} TO {to}"
    for label, may in PRIVILEGES.items():
        model = apps.get_model(label)
        table = quote(model._meta.db_table)
        for right in _rights(model, may, quote):
            yield f"GRANT {right} ON TABLE {table} TO {to}"
    for function in FUNCTIONS:
        yield f"GRANT EXECUTE ON FUNCTION {function} TO {to}"


def _rights(model: type[Model], may: May, quote: Callable[[str], str]) -> Iterator[str]:
    if may.read:
        yield "SELECT"
    if may.insert:
        yield "INSERT"
    if changed := columns(model, may.update):
        yield f"UPDATE ({', '.join(quote(name) for name in changed)})"
    if may.delete:
        yield "DELETE"
