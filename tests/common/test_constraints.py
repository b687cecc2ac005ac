"""The database's own guards, tried directly: what no action would do, an owner of a psql prompt might.

The owner of the tables tries them: the portal's role is refused most of it before any guard is asked
(tests/portal/test_privileges.py).
"""

import pytest
from django.apps import apps
from django.db import IntegrityError, connection, transaction

from apps.audit.actions import System, record
from apps.audit.models import Action, AuditEvent
from tests.database import as_owner, owner_runs
from tests.factories import NOW

pytestmark = pytest.mark.django_db


class TestAuditEvent:
    def test_cannot_be_changed_or_deleted(self, registered_model):
        event = record(
            action=Action.MODEL_REGISTERED, actor=System("tests"), target=registered_model, now=NOW
        )
        mine = AuditEvent.objects.filter(pk=event.pk)
        for change in (
            lambda: mine.update(actor="mallory"),
            lambda: mine._raw_delete(mine.db),  # what refers to it would refuse too, but later
        ):
            with (
                as_owner(),
                pytest.raises(IntegrityError, match="immutable"),
                transaction.atomic(),
            ):
                change()


OWN = "(SELECT id FROM accounts_user WHERE username = '{}')"
COPY_OF_GRANT = """INSERT INTO access_grant (id, request_id, registered_model_id, team_id, tokens_per_minute,
    active_from, active_to, revoke_reason)
    SELECT gen_random_uuid(), r.id, r.registered_model_id, {team}, 1, '2030-01-01', '2030-02-01', ''
    FROM access_accessrequest r WHERE r.status = '{status}'"""
COPY_OF_ROLLOUT = """INSERT INTO promotions_rollout (id, promotion_id, registered_model_id, model_version_id, status,
    weight, engine, instance_type, started_at, moved_at, attempts, generation, observed_generation, reason, message,
    steps, attempt, health, return_reason, return_message, container, checks, differences)
    SELECT gen_random_uuid(), p.id, p.registered_model_id, p.model_version_id, 'ABORTED', 0, '', '', now(), now(), 0, 1,
    0, '', '', '[100]', 1, '{{}}', '', '', '{{}}', '[]', '[]' FROM promotions_promotion p
    WHERE p.id = '{promotion}'"""
APPROVAL = """INSERT INTO promotions_approval (promotion_id, approver_id, requested_by_id, decision, reason, decided_at,
    manifest_digest, eval_run_id, evidence, binding_digest, dossier_digest, void_reason)
    SELECT p.id, {approver}, {requester}, 'APPROVE', '', now(), p.manifest_digest, p.eval_run_id, '{{{{}}}}',
    p.binding_digest, '', '' FROM promotions_promotion p WHERE p.id = '{promotion}'"""
COPY_OF_RUN = """INSERT INTO evals_evalrun SELECT (jsonb_populate_record(r,
    '{{{{"id": "00000000-0000-4000-8000-000000000001", {more}}}}}')).* FROM evals_evalrun r LIMIT 1"""
DECIDE = "UPDATE access_accessrequest SET status = '{status}', decided_at = now(), decided_by_id = {by} WHERE id = '{id}'"
RECERTIFY = """INSERT INTO access_recertification (id, grant_id, requested_by_id, decided_by_id, decided_at, due_at,
    reason) SELECT gen_random_uuid(), id, {asked}, {decided}, now(), now(), 'Still used.' FROM access_grant"""
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
        "a decided request never changes",
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
        "INSERT INTO access_grant (id, request_id, registered_model_id, team_id, tokens_per_minute, service_class,"
        " active_from, active_to, revoke_reason) SELECT gen_random_uuid(), '{pending}', registered_model_id, team_id,"
        " 1, 'BATCH', active_from, active_to, '' FROM access_grant",
        "grant_one_active_per_team_and_model",
    ),
    "a grant that ends at once": (
        "UPDATE access_grant SET active_to = active_from",
        "grant_ends_after_it_begins",
    ),
    "a grant of no call at once": (
        "UPDATE access_grant SET calls_at_once = 0",
        "grant_has_room_for_a_call",
    ),
    "a request for more calls at once than there may be": (
        "UPDATE access_accessrequest SET calls_at_once = 10001 WHERE id = '{pending}'",
        "accessrequest_has_room_for_a_call",
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
    "drift that nobody knows the beginning of": (
        "UPDATE promotions_rollout SET differences = '[{{\"what\": \"x\"}}]' WHERE id = '{rollout}'",
        "rollout_drifted_at_where_it_differs",
    ),
    "the beginning of a drift in which nothing differs": (
        "UPDATE promotions_rollout SET drifted_at = now() WHERE id = '{rollout}'",
        "rollout_drifted_at_where_it_differs",
    ),
    "hours kept ready for a version that always runs": (
        "INSERT INTO promotions_promotion (id, registered_model_id, model_version_id, eval_run_id, manifest_digest,"
        " requested_by_id, requested_at, justification, serving_class, pre_warm, status, decided_at,"
        " without_traffic, policy_revision_id, binding, binding_digest, void_reason,"
        " cost_effect, serving_settings) SELECT"
        " gen_random_uuid(), registered_model_id, model_version_id, eval_run_id, manifest_digest, requested_by_id,"
        " now(), '', 'WARM', 'daily 01:00-02:00 UTC', 'WITHDRAWN', now(), false, policy_revision_id, binding,"
        " binding_digest, '', cost_effect, serving_settings FROM promotions_promotion"
        " WHERE id = '{promotion}'",
        "promotion_pre_warm_only_where_it_sleeps",
    ),
    "another approver afterwards": (
        f"UPDATE promotions_approval SET approver_id = {OWNER}",
        "immutable",
    ),
    "an approval that was voided without a reason": (
        "UPDATE promotions_promotion SET voided_at = now() WHERE id = '{promotion}'",
        "promotion_voided_with_a_reason",
    ),
    "an approval that is voided once its rollout began": (
        "UPDATE promotions_approval SET voided_at = now(), void_reason = 'x'",
        "approvals are immutable",
    ),
    "an approval over something else than was proposed": (
        APPROVAL.format(approver=REVIEWER, requester=OWNER, promotion="{promotion}").replace(
            "p.binding_digest", "'sha256:other'"
        ),
        "over what its promotion bound",
    ),
    "another binding of a promotion": (
        "UPDATE promotions_promotion SET binding = '{{}}' WHERE id = '{promotion}'",
        "what a promotion bound never changes",
    ),
    "bytes under another digest": (
        "INSERT INTO promotions_keptbytes (digest, content) VALUES ('sha256:00', 'x')",
        "kept_bytes_under_their_digest",
    ),
    "bytes that change": (
        "UPDATE promotions_keptbytes SET content = 'x'",
        "bytes that an approval is over never change",
    ),
    "bytes that go": ("DELETE FROM promotions_keptbytes", "never change"),
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
        "UPDATE catalog_modelversion SET status = 'VERIFYING' WHERE number = 3;"
        "UPDATE catalog_modelversion SET status = 'VERIFIED' WHERE number = 3",
        "version_verified_has_digest",
    ),
    "a result without its report": (
        COPY_OF_RUN.format(more='"status": "PASSED", "report_digest": ""'),
        "eval_run_result_has_report",
    ),
    "another result of an evaluation": (
        "UPDATE evals_evalrun SET metrics = '{{}}'",
        "what an evaluation found never changes",
    ),
    "another reason of a decision": (
        "UPDATE access_accessrequest SET decision_reason = 'Other' WHERE status = 'APPROVED'",
        "a decided request never changes",
    ),
    "another reason of a capacity decision": (
        "UPDATE capacity_capacityrequest SET decision_reason = 'Other' WHERE id = '{failed_capacity}'",
        "decision on a capacity request never changes",
    ),
    "another time of a promotion's decision": (
        "UPDATE promotions_promotion SET decided_at = now() WHERE status = 'APPROVED'",
        "a decided promotion never changes",
    ),
    "other figures than were seen": (
        "UPDATE access_accessrequest SET expected = '{{}}' WHERE id = '{pending}'",
        "what was seen when access was asked for never changes",
    ),
    "keeping a grant that one asked for": (
        RECERTIFY.format(asked=LEAD, decided=LEAD),
        "recertification_not_by_requester",
    ),
    "keeping a grant in the name of another requester": (
        RECERTIFY.format(asked=REVIEWER, decided=OWNER),
        "names who asked for its grant",
    ),
    "keeping a grant with a second account": (
        "UPDATE accounts_user SET person = '00000000-0000-0000-0000-000000000001';"
        + RECERTIFY.format(asked=LEAD, decided=OWNER),
        "own request",
    ),
    "another reason why a grant was kept": (
        RECERTIFY.format(asked=LEAD, decided=OWNER)
        + "; UPDATE access_recertification SET reason = 'Other'",
        "immutable",
    ),
    "a recertification taken away": (
        RECERTIFY.format(asked=LEAD, decided=OWNER) + "; DELETE FROM access_recertification",
        "immutable",
    ),
    "a revoked grant that is given back": (
        "UPDATE access_grant SET revoked_at = now(); UPDATE access_grant SET revoked_at = NULL",
        "a revoked grant never changes",
    ),
    "another end of a membership": (
        f"INSERT INTO accounts_membership (user_id, team_id, active_from, active_to) SELECT id, team_id, now(), now()"
        f" FROM accounts_user WHERE id = {OWNER}; UPDATE accounts_membership SET active_to = NULL",
        "a membership that ended never changes",
    ),
    "a price that goes on after its end": (
        "UPDATE chargeback_rate SET active_to = active_from + interval '1 hour';"
        " UPDATE chargeback_rate SET active_to = NULL",
        "a price that ended never goes on",
    ),
    "a price that nobody published": (
        "INSERT INTO chargeback_rate (registered_model_id, sku, unit_price_usd, currency, active_from, change_id)"
        " SELECT registered_model_id, 'OUTPUT', 0, 'USD', active_from, id FROM chargeback_pricechange LIMIT 1",
        "a price needs a published change",
    ),
    "publishing one's own prices": (
        "UPDATE chargeback_pricechange SET status = 'PUBLISHED', decided_at = now(), decided_by_id = requested_by_id"
        " WHERE id = '{price_change}'",
        BY_SELF,
    ),
    "other prices than were proposed": (
        "UPDATE chargeback_pricechange SET prices = '{{}}' WHERE id = '{price_change}'",
        "what was proposed never changes",
    ),
    "another name of a model": (
        "UPDATE catalog_registeredmodel SET name = 'other' WHERE name = 'extract'",
        "the name of a model never changes",
    ),
    "another lock of a version": (
        "UPDATE catalog_modelversion SET locked_until = now() WHERE number = 3",
        "the lock of a version never changes",
    ),
    "another signer of a version": (
        "UPDATE catalog_modelversion SET signer = 'maya' WHERE number = 1;"
        "UPDATE catalog_modelversion SET signer = 'mallory' WHERE number = 1",
        "the signer of a version never changes",
    ),
    "a commit seen at another time": (
        "INSERT INTO promotions_rolloutcommit (rollout_id, attempt, step, sha, committed_at, observed_at) VALUES"
        " ('{rollout}', 1, 'SERVE', 'abc', now(), now());"
        "UPDATE promotions_rolloutcommit SET observed_at = NULL",
        "the times of a commit are written once",
    ),
    "another decision at a weight": (
        "INSERT INTO promotions_rolloutcommit (id, rollout_id, attempt, step, sha, committed_at) VALUES"
        " (1, '{rollout}', 1, 'SHIFT_10', 'abc', now());"
        "INSERT INTO promotions_gateresult (commit_id, verdict, judged_at, candidate, baseline, words, reason) VALUES"
        " (1, 'FAILED', now(), '{{}}', '{{}}', '', ''); UPDATE promotions_gateresult SET verdict = 'PASSED'",
        "what was decided at a weight never changes",
    ),
    "an audit event that changes": ("UPDATE audit_auditevent SET actor = 'mallory'", "immutable"),
    "an audit record that is emptied": (
        "SET CONSTRAINTS ALL IMMEDIATE; TRUNCATE audit_auditevent CASCADE",
        "immutable",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_the_database_refuses(what, world):
    sql, words = REFUSED[what]
    with pytest.raises(IntegrityError, match=words), transaction.atomic():
        assert owner_runs(sql.format(**world.ids)), "it found no row, so it tried nothing"


DECIDED_ABOUT = [
    model
    for model in apps.get_models()
    if {"requested_by", "decided_by"} <= {field.name for field in model._meta.get_fields()}
    or {"requested_by", "approver"} <= {field.name for field in model._meta.get_fields()}
]
ONE_PERSON = "UPDATE accounts_user SET person = '00000000-0000-0000-0000-000000000001'"


class TestTwoPeople:
    @pytest.mark.parametrize("model", DECIDED_ABOUT, ids=lambda model: model._meta.label)
    def test_are_wanted_wherever_one_asks_and_another_decides(self, model):
        table = model._meta.db_table
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT tgenabled FROM pg_trigger WHERE tgname = %s AND tgrelid = %s::regclass",
                [f"{table}_two_people", table],
            )
            assert cursor.fetchall() == [("O",)]

    @pytest.mark.parametrize("status", ["APPROVED", "REJECTED"])
    def test_are_not_two_accounts_of_one(self, world, status):
        decide = (
            f"UPDATE access_accessrequest SET status = '{status}', decided_at = now(), "
            "decision_reason = 'x', decided_by_id = (SELECT min(id) FROM accounts_user "
            "WHERE id <> requested_by_id) WHERE status = 'PENDING'"
        )
        with pytest.raises(IntegrityError, match="own request"), transaction.atomic():
            assert owner_runs(f"{ONE_PERSON}; {decide}"), "it found no row, so it tried nothing"
        assert owner_runs(decide)

    def test_may_be_one_who_takes_back_what_they_asked_for(self, world):
        back = (
            "UPDATE access_accessrequest SET status = 'WITHDRAWN', decided_at = now(), "
            "decided_by_id = requested_by_id WHERE status = 'PENDING'"
        )
        assert owner_runs(f"{ONE_PERSON}; {back}")


# What may follow what, for every model whose rows have a status. The migrations say the same in SQL.
STEPS = {
    "notices.Letter": {"WAITING": "SENT FAILED DROPPED", "SENT": "", "FAILED": "", "DROPPED": ""},
    "notices.Call": {"WAITING": "SENT FAILED", "SENT": "", "FAILED": "WAITING"},
    "catalog.ModelVersion": {
        "UPLOADING": "SIGNING FAILED",
        "SIGNING": "VERIFYING QUARANTINED FAILED",
        "VERIFYING": "VERIFIED QUARANTINED FAILED",
        "VERIFIED": "QUARANTINED",
        "QUARANTINED": "",
        "FAILED": "SIGNING VERIFYING QUARANTINED",
    },
    "catalog.Retirement": {"ANNOUNCED": "RETIRED WITHDRAWN", "RETIRED": "", "WITHDRAWN": ""},
    "catalog.ModelIntake": {
        "PENDING": "APPROVED REJECTED WITHDRAWN",
        "APPROVED": "",
        "REJECTED": "",
        "WITHDRAWN": "",
    },
    "evals.EvalRun": {
        "PENDING": "STARTING ERROR CANCELED",
        "STARTING": "RUNNING ERROR CANCELED",
        "RUNNING": "PASSED FAILED ERROR CANCELED",
        "PASSED": "",
        "FAILED": "",
        "ERROR": "",
        "CANCELED": "",
    },
    "evals.EvalSuite": {
        "PENDING": "APPROVED REJECTED WITHDRAWN",
        "APPROVED": "",
        "REJECTED": "",
        "WITHDRAWN": "",
        "SHIPPED": "",
    },
    "promotions.Emergency": {"PENDING": "UPHELD OBJECTED", "UPHELD": "", "OBJECTED": ""},
    "access.AccessRequest": {
        "PENDING": "APPROVED REJECTED WITHDRAWN",
        "APPROVED": "",
        "REJECTED": "",
        "WITHDRAWN": "",
    },
    "access.BudgetChange": {
        "PENDING": "APPROVED REJECTED WITHDRAWN",
        "APPROVED": "",
        "REJECTED": "",
        "WITHDRAWN": "",
    },
    "access.Boost": {
        "PENDING": "APPROVED REJECTED WITHDRAWN",
        "APPROVED": "",
        "REJECTED": "",
        "WITHDRAWN": "",
    },
    "capacity.CapacityRequest": {
        "PENDING": "APPROVED REJECTED WITHDRAWN",
        "APPROVED": "COMMITTED FAILED",
        "COMMITTED": "APPLIED FAILED",
        "APPLIED": "",
        "FAILED": "APPROVED COMMITTED",
        "REJECTED": "",
        "WITHDRAWN": "",
    },
    "promotions.Promotion": {
        "PENDING": "APPROVED REJECTED WITHDRAWN EXPIRED EMERGENCY",
        # only until its rollout starts; pending again where its approvals are void
        "APPROVED": "PENDING WITHDRAWN EXPIRED SUPERSEDED EMERGENCY",
        "EMERGENCY": "",
        "REJECTED": "",
        "WITHDRAWN": "",
        "EXPIRED": "",
        "SUPERSEDED": "",
    },
    "accounts.PipelineChange": {
        "PENDING": "APPROVED REJECTED WITHDRAWN",
        "APPROVED": "",
        "REJECTED": "",
        "WITHDRAWN": "",
    },
    "promotions.PolicyChange": {
        "PENDING": "APPROVED REJECTED WITHDRAWN",
        "APPROVED": "",
        "REJECTED": "",
        "WITHDRAWN": "",
    },
    "gateway.GuardrailChange": {
        "PENDING": "APPROVED REJECTED WITHDRAWN",
        "APPROVED": "",
        "REJECTED": "",
        "WITHDRAWN": "",
    },
    "promotions.Rollout": {
        "PENDING": "PROGRESSING LIVE FAILED ABORTED SUPERSEDED",
        "PROGRESSING": "LIVE FAILED ABORTED SUPERSEDED",
        "LIVE": "REPLACED ABORTED",
        "REPLACED": "",
        "FAILED": "PROGRESSING ABORTED",
        "ABORTED": "",
        "SUPERSEDED": "",
    },
    "promotions.ChangeRecord": {
        "OPENING": "OPEN CLOSED",
        "OPEN": "CLOSED",
        "CLOSED": "",
    },
    "incidents.Episode": {
        "OPEN": "CLOSED",
        "CLOSED": "",
    },
    "metering.ArchivedDay": {
        "WAITING": "VERIFIED",
        "VERIFIED": "REPLACED DROPPED",
        "REPLACED": "",
        "DROPPED": "RESTORED",
        "RESTORED": "",
    },
    "metering.QuarantinedRecord": {
        "WAITING": "REPLAYED LEFT_OUT",
        "REPLAYED": "",
        "LEFT_OUT": "",
    },
    "chargeback.MonthClose": {
        "PENDING": "CLOSED REJECTED WITHDRAWN",
        "CLOSED": "",
        "REJECTED": "",
        "WITHDRAWN": "",
    },
    "chargeback.StatementDocument": {
        "WAITING": "MADE FAILED",
        "MADE": "",
        "FAILED": "WAITING",
    },
    "accounts.RoleReview": {
        "PENDING": "KEPT TAKEN LAPSED",
        "KEPT": "",
        "TAKEN": "",
        "LAPSED": "",
    },
    "catalog.SignerRevocation": {
        "PENDING": "APPROVED REJECTED WITHDRAWN",
        "APPROVED": "",
        "REJECTED": "",
        "WITHDRAWN": "",
    },
    "catalog.Verification": {
        "RUNNING": "PASSED FAILED ENDED",
        "PASSED": "",
        "FAILED": "",
        "ENDED": "",
    },
    "oversight.EvidencePack": {
        "WAITING": "MADE FAILED",
        "MADE": "",
        "FAILED": "WAITING",
    },
    "chargeback.PriceChange": {
        "PENDING": "PUBLISHED REJECTED WITHDRAWN",
        "PUBLISHED": "",
        "REJECTED": "",
        "WITHDRAWN": "",
        "SET": "",
    },
    "prompts.RetentionChange": {
        "PENDING": "APPROVED REJECTED WITHDRAWN",
        "APPROVED": "",
        "REJECTED": "",
        "WITHDRAWN": "",
    },
    "prompts.HoldRelease": {
        "PENDING": "APPROVED REJECTED WITHDRAWN",
        "APPROVED": "",
        "REJECTED": "",
        "WITHDRAWN": "",
    },
    "prompts.ErasureRequest": {
        "PENDING": "APPROVED REJECTED WITHDRAWN",
        "APPROVED": "",
        "REJECTED": "",
        "WITHDRAWN": "",
    },
    "prompts.PromptPack": {"WAITING": "STORED REMOVED", "STORED": "REMOVED", "REMOVED": ""},
    "gateway.PolicyRevision": {
        "PENDING": "COMMITTED ACTIVE FAILED",
        "COMMITTED": "PENDING ACTIVE FAILED",
        "ACTIVE": "PENDING COMMITTED",
        "FAILED": "PENDING COMMITTED ACTIVE",
    },
}


class TestSteps:
    def test_are_written_for_every_status(self):
        having = {
            model._meta.label: set(dict(model._meta.get_field("status").choices))
            for model in apps.get_models()
            if any(field.name == "status" for field in model._meta.fields)
        }
        assert having == {label: set(steps) for label, steps in STEPS.items()}

    @pytest.mark.parametrize("label", STEPS)
    def test_are_what_the_trigger_of_the_table_admits(self, label):
        meant = {
            f"{before}>{after}" for before, steps in STEPS[label].items() for after in steps.split()
        }
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT tgargs, tgenabled FROM pg_trigger WHERE tgrelid = %s::regclass"
                " AND tgfoid = 'only_these_steps'::regproc",
                [apps.get_model(label)._meta.db_table],
            )
            ((arguments, enabled),) = cursor.fetchall()
        assert set(bytes(arguments).decode().rstrip("\0").split("\0")) == meant
        assert enabled == "O"


REFUSED_STEPS = {
    "a decided request that waits again": "UPDATE access_accessrequest SET status = 'PENDING', decided_at = NULL WHERE status = 'APPROVED'",
    "a verified version that is signed again": "UPDATE catalog_modelversion SET status = 'SIGNING' WHERE status = 'VERIFIED'",
    "a quarantined version that is verified": "UPDATE catalog_modelversion SET status = 'QUARANTINED' WHERE number = 2; UPDATE catalog_modelversion SET status = 'VERIFIED' WHERE number = 2",
    "a failed version that is verified": "UPDATE catalog_modelversion SET status = 'VERIFIED' WHERE status = 'FAILED'",
    "a suite that was decided and is again": "UPDATE evals_evalsuite SET status = 'REJECTED' WHERE status = 'SHIPPED'",
    "a run that passed and fails": "UPDATE evals_evalrun SET status = 'FAILED' WHERE status = 'PASSED'",
    "an approved promotion that waits again": "UPDATE promotions_promotion SET status = 'PENDING', decided_at = NULL WHERE status = 'APPROVED'",
    "a live rollout that fails": "UPDATE promotions_rollout SET status = 'FAILED' WHERE status = 'LIVE'",
    "a failed rollout that is live": "UPDATE promotions_rollout SET status = 'LIVE' WHERE status = 'FAILED'",
    "a failed capacity request that is applied": "UPDATE capacity_capacityrequest SET status = 'APPLIED', commit = 'abc' WHERE status = 'FAILED'",
    "a policy that was asked for by nobody": "INSERT INTO gateway_policyrevision (registered_model_id, status, digest, commit, attempts, generation, observed_generation, reason, message) SELECT id, 'ACTIVE', '', '', 0, 1, 1, '', '' FROM catalog_registeredmodel LIMIT 1; UPDATE gateway_policyrevision SET status = 'FAILED'",
}


@pytest.mark.parametrize("what", REFUSED_STEPS)
def test_the_portals_role_takes_no_step_that_the_code_does_not(what, world):
    *before, tried = REFUSED_STEPS[what].split("; ")
    with connection.cursor() as cursor:
        for statement in before:
            cursor.execute(statement)
        with (
            pytest.raises(IntegrityError, match="never becomes|never changes"),
            transaction.atomic(),
        ):
            cursor.execute(tried)
