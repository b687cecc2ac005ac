"""What happened: one immutable row per state change, written in the transaction of the change; and
what makes it evidence: each row's place in a chain and a tree of hashes, and signed checkpoints.

Actor and target are text, not foreign keys: audit is the lowest app, and its rows must outlive what
they speak of. Triggers (see migrations) refuse UPDATE and DELETE. A write waits for no other: the
sealer alone gives an event its place, seconds later.
"""

from django.db import models
from django.urls import reverse

from apps.common.ids import ordered_id


class Action(models.TextChoices):
    """Every kind of event. The value is `<noun>.<verb in the past>`."""

    SIGNED_IN = "user.signed_in", "Signed in"
    SIGNED_OUT = "user.signed_out", "Signed out"
    USER_SYNCED = "user.synced", "Roles or team changed by the identity provider"
    USER_LINKED = "user.linked", "Accounts found to be one person's"
    ROLE_REVIEW_OPENED = "role.due", "Role due to be looked at again"
    ROLE_REVIEW_LAPSED = "role.lapsed", "Look at a role no longer needed"
    ROLE_KEPT = "role.kept", "Role kept"
    ROLE_TAKEN = "role.taken", "Role taken away"
    PIPELINE_PROPOSED = "pipeline.proposed", "Rule of a pipeline proposed"
    PIPELINE_APPROVED = "pipeline.approved", "Rule of a pipeline put in force"
    PIPELINE_REJECTED = "pipeline.rejected", "Rule of a pipeline rejected"
    PIPELINE_WITHDRAWN = "pipeline.withdrawn", "Rule of a pipeline withdrawn"
    PIPELINE_ENDED = "pipeline.ended", "Pipeline shut out"
    PIPELINE_SIGNED_IN = "pipeline.signed_in", "Run of a pipeline signed in"
    COST_CENTER_ASSIGNED = "team.cost_center_assigned", "Cost center assigned"
    NOTICES_CHOSEN = "notices.chosen", "Choice of notices changed"
    WEBHOOK_ADDED = "webhook.added", "Webhook added"
    WEBHOOK_CHANGED = "webhook.changed", "Webhook changed"
    WEBHOOK_RENEWED = "webhook.renewed", "Webhook given a new secret"
    WEBHOOK_STOPPED = "webhook.stopped", "Webhook stopped: its receiver does not take what is sent"
    WEBHOOK_STARTED = "webhook.started", "Webhook started again"
    WEBHOOK_REMOVED = "webhook.removed", "Webhook removed"
    WEBHOOK_CALL_RETRIED = "webhook.call_retried", "Notice sent to a webhook again"
    MODEL_REGISTERED = "model.registered", "Model registered"
    MODEL_DEPRECATED = "model.deprecated", "Retirement of a model announced"
    MODEL_DEPRECATION_CHANGED = "model.deprecation_changed", "Retirement of a model changed"
    MODEL_DEPRECATION_WITHDRAWN = "model.deprecation_withdrawn", "Retirement of a model taken back"
    MODEL_RETIRED = "model.retired", "Model retired"
    VERSION_ADDED = "version.added", "Version upload started"
    VERSION_UPLOADED = "version.uploaded", "Version uploaded"
    VERSION_PUBLISHED = "version.published", "Manifest signed and locked"
    VERSION_VERIFIED = "version.verified", "Version verified"
    VERSION_FACTS_READ = "version.facts_read", "Facts read from its files"
    MODEL_INTAKE_REQUESTED = "model_intake.requested", "New model asked for"
    MODEL_INTAKE_APPROVED = "model_intake.approved", "New model approved"
    MODEL_INTAKE_REJECTED = "model_intake.rejected", "New model rejected"
    MODEL_INTAKE_WITHDRAWN = "model_intake.withdrawn", "Request for a new model withdrawn"
    VERSION_QUARANTINED = "version.quarantined", "Version quarantined"
    VERSION_FAILED = "version.failed", "Version failed"
    VERSION_RETRIED = "version.retried", "Version tried again"
    SUITE_REQUESTED = "suite.requested", "Suite revision asked for"
    SUITE_APPROVED = "suite.approved", "Suite revision approved"
    SUITE_REJECTED = "suite.rejected", "Suite revision rejected"
    SUITE_WITHDRAWN = "suite.withdrawn", "Suite revision withdrawn"
    VERIFICATION_ASKED = "verification.asked", "Every byte of a version to be read again"
    VERIFICATION_PASSED = "verification.passed", "Every byte of a version read again"
    VERIFICATION_FAILED = "verification.failed", "A version's bytes found to differ"
    VERIFICATION_ENDED = "verification.ended", "Reading of a version ended without a result"
    BUCKET_CHANGED = "bucket.changed", "Settings of the registry's bucket found changed"
    SIGNER_BEGAN = "signer.began", "Signing key noted"
    SIGNER_ENDED = "signer.ended", "Signing key replaced by another"
    SIGNER_REVOKED = "signer.revoked", "Signing key revoked"
    REVOCATION_REQUESTED = "revocation.requested", "Revocation of a signing key requested"
    REVOCATION_REJECTED = "revocation.rejected", "Revocation of a signing key rejected"
    REVOCATION_WITHDRAWN = "revocation.withdrawn", "Revocation of a signing key withdrawn"
    EVAL_STARTED = "evaluation.started", "Evaluation run started"
    EVAL_COMMITTED = "evaluation.committed", "Evaluation candidate committed"
    EVAL_SERVING = "evaluation.serving", "Evaluation candidate serving"
    EVAL_RECORDED = "evaluation.recorded", "Evaluation run finished"
    EVAL_FAILED = "evaluation.failed", "Evaluation run failed"
    EVAL_CANCELED = "evaluation.canceled", "Evaluation run canceled"
    EVAL_STORED = "evaluation.stored", "Evaluation report stored in the registry"
    EVAL_REMOVED = "evaluation.removed", "Evaluation candidate removed"
    ACCESS_REQUESTED = "access.requested", "Access requested"
    ACCESS_APPROVED = "access.approved", "Access approved"
    ACCESS_REJECTED = "access.rejected", "Access rejected"
    ACCESS_WITHDRAWN = "access.withdrawn", "Access request withdrawn"
    GRANT_CREATED = "grant.created", "Grant created"
    GRANT_REVOKED = "grant.revoked", "Grant revoked"
    GRANT_KEPT = "grant.kept", "Grant looked at again and kept"
    BUDGET_SET = "budget.set", "Budget set"
    BUDGET_CHANGED = "budget.changed", "Budget changed"
    BUDGET_ENDED = "budget.ended", "Budget ended"
    BUDGET_REACHED = "budget.reached", "Budget reached a threshold"
    BUDGET_CHANGE_REQUESTED = "budget_change.requested", "Change of a budget requested"
    BUDGET_CHANGE_APPROVED = "budget_change.approved", "Change of a budget approved"
    BUDGET_CHANGE_REJECTED = "budget_change.rejected", "Change of a budget rejected"
    BUDGET_CHANGE_WITHDRAWN = "budget_change.withdrawn", "Change of a budget withdrawn"
    BOOST_REQUESTED = "boost.requested", "Boost of a budget requested"
    BOOST_APPROVED = "boost.approved", "Boost of a budget approved"
    BOOST_REJECTED = "boost.rejected", "Boost of a budget rejected"
    BOOST_ENDED = "boost.ended", "Boost of a budget ended before its last day"
    BOOST_WITHDRAWN = "boost.withdrawn", "Boost of a budget withdrawn"
    PROMOTION_REQUESTED = "promotion.requested", "Promotion requested"
    PROMOTION_ENDORSED = "promotion.endorsed", "Promotion approved by one of several"
    PROMOTION_APPROVED = "promotion.approved", "Promotion approved"
    PROMOTION_REJECTED = "promotion.rejected", "Promotion rejected"
    PROMOTION_WITHDRAWN = "promotion.withdrawn", "Promotion withdrawn"
    PROMOTION_EXPIRED = "promotion.expired", "Approval of a promotion expired"
    PROMOTION_SUPERSEDED = "promotion.superseded", "Promotion superseded"
    PROMOTION_POLICY_PROPOSED = "promotion_policy.proposed", "Promotion policy proposed"
    PROMOTION_POLICY_APPROVED = "promotion_policy.approved", "Promotion policy put in force"
    PROMOTION_POLICY_REJECTED = "promotion_policy.rejected", "Promotion policy rejected"
    PROMOTION_POLICY_WITHDRAWN = "promotion_policy.withdrawn", "Promotion policy withdrawn"
    PROMOTION_VOIDED = "promotion.voided", "Approval voided: something changed that it was over"
    EMERGENCY_DECLARED = "emergency.declared", "Rolled forward in an emergency"
    EMERGENCY_REVIEWED = "emergency.reviewed", "Emergency reviewed"
    EMERGENCY_OVERDUE = "emergency.overdue", "Review of an emergency overdue"
    ROLLOUT_STARTED = "rollout.started", "Rollout started"
    ROLLOUT_COMMITTED = "rollout.committed", "Rollout step committed"
    ROLLOUT_JUDGED = "rollout.judged", "Rollout judged at its weight"
    ROLLOUT_RETURNING = "rollout.returning", "Rollout goes back to its baseline"
    ROLLOUT_PAUSED = "rollout.paused", "Rollout paused"
    ROLLOUT_RESUMED = "rollout.resumed", "Rollout resumed"
    ROLLOUT_SUPERSEDED = "rollout.superseded", "Rollout superseded"
    ROLLOUT_FINISHED = "rollout.finished", "Rollout finished"
    ROLLOUT_FAILED = "rollout.failed", "Rollout failed"
    ROLLOUT_ABORTED = "rollout.aborted", "Rollout aborted"
    ROLLOUT_DRIFTED = "rollout.drifted", "What serves differs from what was approved"
    ROLLOUT_DRIFT_ENDED = "rollout.drift_ended", "It no longer differs from what was approved"
    CHANGE_ASKED = "change.asked", "Change asked for in ServiceNow"
    CHANGE_OPENED = "change.opened", "Change opened in ServiceNow"
    CHANGE_ADOPTED = "change.adopted", "Change found again in ServiceNow"
    CHANGE_MOVED = "change.moved", "Change moved on in ServiceNow"
    CHANGE_SEEN = "change.seen", "Change decided or planned in ServiceNow"
    CHANGE_DOUBTED = "change.doubted", "Change in ServiceNow in doubt"
    CHANGE_CLOSED = "change.closed", "Change closed in ServiceNow"
    ROLLOUTS_HELD = "rollouts.held", "Rollouts of a model held"
    ROLLOUTS_RELEASED = "rollouts.released", "Rollouts of a model go on"
    OBJECTIVE_SET = "objective.set", "Objective set or changed"
    OBJECTIVE_ENDED = "objective.ended", "Objective ended"
    INCIDENT_BEGAN = "incident.began", "Incident began"
    INCIDENT_AGAIN = "incident.went_on", "Incident went on or came back"
    INCIDENT_OVER = "incident.over", "Incident over"
    INCIDENT_REPORTED = "incident.reported", "Incident opened in ServiceNow"
    INCIDENT_RESOLVED = "incident.resolved", "Incident resolved or left in ServiceNow"
    INCIDENT_DOUBTED = "incident.doubted", "Incident in ServiceNow in doubt"
    GUARDRAILS_PROPOSED = "guardrails.proposed", "Guard rules proposed"
    GUARDRAILS_APPROVED = "guardrails.approved", "Guard rules put in force"
    GUARDRAILS_REJECTED = "guardrails.rejected", "Guard rules rejected"
    GUARDRAILS_WITHDRAWN = "guardrails.withdrawn", "Guard rules withdrawn"
    GUARD_HIT_MARKED = "guard_hit.marked", "Guard's find judged"
    POLICY_PUBLISHED = "policy.published", "Gateway policy published"
    USAGE_IMPORTED = "usage.imported", "Usage counted from a file"
    USAGE_REPLAYED = "usage.replayed", "Usage counted from quarantine"
    USAGE_LEFT_OUT = "usage.left_out", "Usage left out for good"
    USAGE_TAKEN_OUT = "usage.taken_out", "Usage taken out: its id is that of an earlier call"
    USAGE_ARCHIVED = "usage.archived", "Day of usage archived"
    USAGE_DROPPED = "usage.dropped", "Day of usage dropped after its archiving"
    USAGE_RESTORED = "usage.restored", "Day of usage brought back"
    RATE_SET = "rate.set", "Price set"  # by one person: no action writes it any more
    PRICE_PROPOSED = "price.proposed", "Prices proposed"
    PRICE_PUBLISHED = "price.published", "Prices published"
    PRICE_REJECTED = "price.rejected", "Prices rejected"
    ESTIMATES_RULED = "estimates.ruled", "Pricing of estimated usage set"
    PRICE_WITHDRAWN = "price.withdrawn", "Proposal of prices withdrawn"
    MACHINE_PRICE_SET = "machine_price.set", "Contract price of machines set"
    MACHINE_PRICE_ENDED = "machine_price.ended", "Contract price of machines ended"
    CLOSE_REQUESTED = "close.requested", "Close of a month asked for"
    MONTH_CLOSED = "close.closed", "Month closed"
    CLOSE_REJECTED = "close.rejected", "Close of a month rejected"
    CLOSE_WITHDRAWN = "close.withdrawn", "Close of a month withdrawn"
    BILL_READ = "bill.read", "Cloud's bill read"
    BILL_REFUSED = "bill.refused", "Cloud's bill cannot be read"
    STATEMENT_MADE = "statement.made", "Statement made as PDF"
    STATEMENT_FAILED = "statement.failed", "Statement could not be made as PDF"
    STATEMENT_RETRIED = "statement.retried", "Statement tried again as PDF"
    POOL_FOUND = "pool.found", "Node pool found in Git"
    CAPACITY_REQUESTED = "capacity.requested", "Capacity change requested"
    CAPACITY_APPROVED = "capacity.approved", "Capacity change approved"
    CAPACITY_REJECTED = "capacity.rejected", "Capacity change rejected"
    CAPACITY_WITHDRAWN = "capacity.withdrawn", "Capacity change withdrawn"
    CAPACITY_COMMITTED = "capacity.committed", "Capacity change committed"
    CAPACITY_APPLIED = "capacity.applied", "Capacity change applied"
    CAPACITY_FAILED = "capacity.failed", "Capacity change failed"
    EVIDENCE_REQUESTED = "evidence.requested", "Evidence pack asked for"
    EVIDENCE_MADE = "evidence.made", "Evidence pack made"
    EVIDENCE_FAILED = "evidence.failed", "Evidence pack could not be made"
    EVIDENCE_RETRIED = "evidence.retried", "Evidence pack tried again"
    EVIDENCE_TAKEN = "evidence.taken", "Evidence pack taken away"
    RETENTION_PROPOSED = "prompt_retention.proposed", "Retention of prompts proposed"
    RETENTION_APPROVED = "prompt_retention.approved", "Retention of prompts put in force"
    RETENTION_REJECTED = "prompt_retention.rejected", "Retention of prompts rejected"
    RETENTION_WITHDRAWN = "prompt_retention.withdrawn", "Retention of prompts withdrawn"
    HOLD_PLACED = "legal_hold.placed", "Legal hold placed"
    HOLD_RELEASE_REQUESTED = "legal_hold.release_requested", "Lifting of a legal hold asked for"
    HOLD_LIFTED = "legal_hold.lifted", "Legal hold lifted"
    HOLD_RELEASE_REJECTED = "legal_hold.release_rejected", "Lifting of a legal hold rejected"
    HOLD_RELEASE_WITHDRAWN = "legal_hold.release_withdrawn", "Lifting of a legal hold withdrawn"
    ERASURE_REQUESTED = "erasure.requested", "Erasure of prompts requested"
    ERASURE_REJECTED = "erasure.rejected", "Erasure of prompts rejected"
    ERASURE_WITHDRAWN = "erasure.withdrawn", "Erasure of prompts withdrawn"
    PROMPTS_ERASED = "erasure.done", "Prompts erased: their keys destroyed"
    PROMPT_READ = "prompt.read", "Prompt read"
    PROMPTS_MOVED = "prompts.moved", "Prompts moved to S3"
    PROMPTS_REMOVED = "prompts.removed", "Prompts removed: their time was over"
    PROMPT_READER_NAMED = "prompt_reader.named", "Reader of prompts named"
    PROMPT_READER_ENDED = "prompt_reader.ended", "Reader of prompts no longer named"
    CAPACITY_RETRIED = "capacity.retried", "Capacity change tried again"


def action_choices() -> list[tuple[str, str]]:
    """Return the actions as choices; a function, so that a new action needs no migration."""
    return [(str(value), str(label)) for value, label in Action.choices]


class AuditEventQuerySet(models.QuerySet["AuditEvent"]):
    """Events, newest first where a person reads them."""

    def about(self, target_type: str, target_id: str) -> "AuditEventQuerySet":
        """Return the events of one object."""
        return self.filter(target_type=target_type, target_id=target_id)


class AuditEvent(models.Model):
    """One state change: who, what, on what, when, why."""

    id = models.UUIDField(primary_key=True, default=ordered_id, editable=False)
    occurred_at = models.DateTimeField()  # by the action's clock
    recorded_at = models.DateTimeField()  # by the clock of who wrote it
    actor = models.CharField(max_length=200)  # username, or "system:<task>"
    actor_name = models.CharField(max_length=200)
    action = models.CharField(max_length=64, choices=action_choices)
    target_type = models.CharField(max_length=64)  # the model's name, "Promotion"
    target_id = models.CharField(max_length=64)
    target_label = models.CharField(max_length=200)
    data = models.JSONField(default=dict)
    request_id = models.CharField(max_length=64, blank=True, default="")
    content_hash = models.BinaryField()  # 32 bytes: its leaf in the tree (content.py)

    objects = AuditEventQuerySet.as_manager()

    class Meta:
        ordering = ("-occurred_at", "-id")
        indexes = (
            models.Index(fields=("-occurred_at", "-id"), name="audit_newest_first"),
            models.Index(
                fields=("target_type", "target_id", "-occurred_at"), name="audit_by_target"
            ),
            models.Index(fields=("actor", "-occurred_at"), name="audit_by_actor"),
            models.Index(fields=("action", "-occurred_at"), name="audit_by_action"),
            models.Index(fields=("request_id",), name="audit_by_request"),
        )

    def __str__(self) -> str:
        return f"{self.action} {self.target_label}"

    def get_absolute_url(self) -> str:
        """Return the event's permanent address."""
        return reverse("oversight:event_detail", args=[self.pk])


class Unsealed(models.Model):
    """An event that has no place yet. A trigger writes it with the event, the sealer takes it
    away.
    """

    event = models.OneToOneField(
        AuditEvent, on_delete=models.PROTECT, primary_key=True, related_name="+"
    )

    def __str__(self) -> str:
        return f"{self.event_id} waits for its seal"


class AuditSeal(models.Model):
    """An event's place: the sequence has no gaps, and each seal names the one before it."""

    sequence = models.BigIntegerField(primary_key=True)  # from 0
    event = models.OneToOneField(AuditEvent, on_delete=models.PROTECT, related_name="seal")
    leaf = models.BinaryField()  # the event's content hash
    previous = models.BinaryField()  # the hash of the seal before; 32 zero bytes for the first
    hash = models.BinaryField()  # SHA-256 of previous and leaf
    sealed_at = models.DateTimeField()

    class Meta:
        ordering = ("sequence",)
        indexes = (models.Index(fields=("sealed_at", "sequence"), name="audit_sealed_at"),)

    def __str__(self) -> str:
        return f"Seal {self.sequence}"


class AuditTile(models.Model):
    """A node of the tree that is kept, so that roots and proofs need not read every leaf: level 1
    stands over 256 leaves, level 2 over 65,536, and so on.
    """

    level = models.SmallIntegerField()
    index = models.BigIntegerField()
    hash = models.BinaryField()

    class Meta:
        constraints = (models.UniqueConstraint(fields=("level", "index"), name="audit_tile_once"),)

    def __str__(self) -> str:
        return f"Node {self.index} of kept level {self.level}"


class Checkpoint(models.Model):
    """The root of the record at a size, signed; anchored once it lies in S3, where nobody can
    change it.
    """

    size = models.BigIntegerField(primary_key=True)
    root = models.BinaryField()
    note = models.TextField()  # as C2SP's tlog-checkpoint has it
    signed_at = models.DateTimeField()
    anchored_at = models.DateTimeField(null=True, blank=True)
    problem = models.TextField(blank=True, default="")  # why it is not anchored yet

    class Meta:
        ordering = ("-size",)
        indexes = (
            # a few of all there ever were: those that wait, which alone can have a problem
            models.Index(
                fields=("size",),
                condition=models.Q(anchored_at=None),
                name="checkpoint_not_anchored",
            ),
        )

    def __str__(self) -> str:
        return f"Checkpoint of {self.size:,} entries"


class Verification(models.Model):
    """One reading of the record against its seals and its anchored checkpoints: all of it, or its
    newest entries from `first` on and, of those that are older, `again_first` to `again_end` (not
    included).
    """

    id = models.UUIDField(primary_key=True, default=ordered_id, editable=False)
    verified_at = models.DateTimeField()  # when it began to read
    first = models.BigIntegerField(default=0)
    again_first = models.BigIntegerField(default=0)
    again_end = models.BigIntegerField(default=0)
    size = models.BigIntegerField()  # how far the record could be followed
    anchored_size = models.BigIntegerField()  # of the largest checkpoint that S3 had
    found = models.BigIntegerField()  # how much is wrong; `findings` keeps the first of it
    findings = models.JSONField(default=list)  # of {"kind", "sequence", "says"}

    class Meta:
        ordering = ("-verified_at",)

    def __str__(self) -> str:
        return f"{self.size:,} entries verified: {self.found:,} findings"

    @property
    def is_whole(self) -> bool:
        """Tell whether it read the record from its beginning to its end."""
        return self.first == 0
