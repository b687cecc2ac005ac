"""The database's own guards, tried directly: what no action would do, an owner of a psql prompt might."""

import pytest
from django.db import IntegrityError, connection, transaction

from apps.audit.actions import System, record
from apps.audit.models import Action, AuditEvent
from tests.factories import NOW
from tests.portal import cast

pytestmark = pytest.mark.django_db


class TestAuditEvent:
    def test_cannot_be_changed_or_deleted(self, registered_model):
        event = record(
            action=Action.MODEL_REGISTERED, actor=System("tests"), target=registered_model, now=NOW
        )
        for change in (lambda: AuditEvent.objects.update(actor="mallory"), lambda: event.delete()):
            with pytest.raises(IntegrityError, match="immutable"), transaction.atomic():
                change()


OWN = "(SELECT id FROM accounts_user WHERE username = '{}')"
COPY_OF_GRANT = """INSERT INTO access_grant (id, request_id, registered_model_id, team_id, tokens_per_minute,
    monthly_budget_usd, active_from, active_to, revoke_reason)
    SELECT gen_random_uuid(), r.id, r.registered_model_id, {team}, 1, 1, '2030-01-01', '2030-02-01', ''
    FROM access_accessrequest r WHERE r.status = '{status}'"""
COPY_OF_ROLLOUT = """INSERT INTO promotions_rollout (id, promotion_id, registered_model_id, model_version_id, status,
    weight, engine, instance_type, started_at, moved_at, attempts, generation, observed_generation, reason, message,
    steps, attempt, health, return_reason, return_message)
    SELECT gen_random_uuid(), p.id, p.registered_model_id, p.model_version_id, 'ABORTED', 0, '', '', now(), now(), 0, 1,
    0, '', '', '[100]', 1, '{{}}', '', '' FROM promotions_promotion p WHERE p.id = '{promotion}'"""
APPROVAL = """INSERT INTO promotions_approval (promotion_id, approver_id, requested_by_id, decision, reason, decided_at,
    manifest_digest, eval_run_id, evidence) SELECT p.id, {approver}, {requester}, 'APPROVE', '', now(),
    p.manifest_digest, p.eval_run_id, '{{{{}}}}' FROM promotions_promotion p WHERE p.id = '{promotion}'"""
DECIDE = "UPDATE access_accessrequest SET status = '{status}', decided_at = now(), decided_by_id = {by} WHERE id = '{id}'"
BY_SELF = "not_decided_by_requester"
OWNER, LEAD, REVIEWER = (OWN.format(name) for name in ("owner", "lead", "reviewer"))
# Raw statements on purpose; nothing in them comes from outside.
# ruff: noqa: S608
REFUSED = {
    "approving one's own request": (
        DECIDE.format(status="APPROVED", by=LEAD, id="{pending}"),
        BY_SELF,
    ),
    "rejecting one's own request": (
        DECIDE.format(status="REJECTED", by=LEAD, id="{pending}"),
        BY_SELF,
    ),
    "approving as nobody": (
        DECIDE.format(status="APPROVED", by="NULL", id="{pending}"),
        "decided_by_somebody",
    ),
    "a decision without its time": (
        f"UPDATE access_accessrequest SET status = 'APPROVED', decided_by_id = {OWNER} WHERE id = '{{pending}}'",
        "decided_at_when_decided",
    ),
    "making oneself another's requester": (
        f"UPDATE access_accessrequest SET requested_by_id = {OWNER} WHERE status = 'APPROVED'",
        "not_decided_by_requester",
    ),
    "a grant of a request that waits": (
        COPY_OF_GRANT.format(team="r.team_id", status="PENDING"),
        "approved request",
    ),
    "a grant for another team": (
        "UPDATE access_grant SET team_id = (SELECT id FROM accounts_team WHERE slug = 'prior-auth')",
        "approved request",
    ),
    "a second grant at the same time": (
        f"UPDATE access_accessrequest SET registered_model_id = g.registered_model_id, status = 'APPROVED', decided_at"
        f" = now(), decided_by_id = {OWNER} FROM access_grant g WHERE access_accessrequest.id = '{{pending}}';"
        "INSERT INTO access_grant (id, request_id, registered_model_id, team_id, tokens_per_minute, monthly_budget_usd,"
        " active_from, active_to, revoke_reason) SELECT gen_random_uuid(), '{pending}', registered_model_id, team_id,"
        " 1, 1, active_from, active_to, '' FROM access_grant",
        "grant_one_active_per_team_and_model",
    ),
    "a grant that ends at once": (
        "UPDATE access_grant SET active_to = active_from",
        "grant_ends_after_it_begins",
    ),
    "approving one's own promotion": (
        APPROVAL.format(approver=OWNER, requester=OWNER, promotion="{promotion}"),
        "approval_not_by_requester",
    ),
    "approving in the name of another requester": (
        APPROVAL.format(approver=OWNER, requester=REVIEWER, promotion="{promotion}"),
        "approval_repeats_the_requester",
    ),
    "a rollout without an approval": (COPY_OF_ROLLOUT, "approval of its promotion"),
    "a rollout of an approved status without an approval": (
        "UPDATE promotions_promotion SET status = 'APPROVED', decided_at = now() WHERE id = '{promotion}';"
        + COPY_OF_ROLLOUT,
        "approval of its promotion",
    ),
    "a rollout of another version than the approved one": (
        "UPDATE promotions_rollout SET model_version_id = (SELECT id FROM catalog_modelversion WHERE number = 2)"
        " WHERE id = '{rollout}'",
        "approval of its promotion",
    ),
    "a second rollout of a promotion that goes back from none": (
        COPY_OF_ROLLOUT.replace(
            "p.id = '{promotion}'",
            "p.id = (SELECT promotion_id FROM promotions_rollout WHERE id = '{rollout}')",
        ),
        "rollout_one_per_promotion",
    ),
    "hours kept ready for a version that always runs": (
        "INSERT INTO promotions_promotion (id, registered_model_id, model_version_id, eval_run_id, manifest_digest,"
        " requested_by_id, requested_at, justification, serving_class, pre_warm, without_traffic, status, decided_at) SELECT"
        " gen_random_uuid(), registered_model_id, model_version_id, eval_run_id, manifest_digest, requested_by_id,"
        " now(), '', 'WARM', 'daily 01:00-02:00 UTC', false, 'WITHDRAWN', now() FROM promotions_promotion"
        " WHERE id = '{promotion}'",
        "promotion_pre_warm_only_where_it_sleeps",
    ),
    "another approver afterwards": (
        f"UPDATE promotions_approval SET approver_id = {OWNER}",
        "immutable",
    ),
    "an approval taken away": ("DELETE FROM promotions_approval", "immutable"),
    "another requester of a promotion": (
        f"UPDATE promotions_promotion SET requested_by_id = {REVIEWER} WHERE id = '{{promotion}}'",
        "never changes",
    ),
    "another class than the approved one": (
        "UPDATE promotions_promotion SET serving_class = 'SCALE_TO_ZERO' WHERE status = 'APPROVED'",
        "never changes",
    ),
    "other hours than the reviewed ones": (
        "UPDATE promotions_promotion SET serving_class = 'SCALE_TO_ZERO', pre_warm = 'daily 01:00-02:00 UTC'"
        " WHERE id = '{promotion}'",
        "never changes",
    ),
    "another digest of a published version": (
        "UPDATE catalog_modelversion SET manifest_digest = 'sha256:0' WHERE number = 1",
        "never changes",
    ),
    "a digest taken away": (
        "UPDATE catalog_modelversion SET manifest_digest = '' WHERE number = 1",
        "never changes",
    ),
    "another size of a file": ("UPDATE catalog_modelfile SET size = 1", "never changes"),
    "a verified version without a digest": (
        "UPDATE catalog_modelversion SET status = 'VERIFIED' WHERE number = 3",
        "version_verified_has_digest",
    ),
    "a result without its report": (
        "UPDATE evals_evalrun SET status = 'PASSED', report_digest = ''",
        "eval_run_result_has_report",
    ),
    "an audit event that changes": ("UPDATE audit_auditevent SET actor = 'mallory'", "immutable"),
    "an audit record that is emptied": ("TRUNCATE audit_auditevent", "immutable"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_the_database_refuses(what):
    world = cast.build()
    sql, words = REFUSED[what]
    with (
        pytest.raises(IntegrityError, match=words),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(sql.format(**world.ids))
        assert cursor.rowcount, "the statement found no row, so it tried nothing"
