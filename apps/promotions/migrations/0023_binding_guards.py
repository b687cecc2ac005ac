"""What was bound never changes, an approval is over what its promotion bound, and one that was voided allows nothing.

Voiding is the one change of a decision: once, of an approval, and only until its rollout began.
"""

from django.db import migrations

FORWARD = """
ALTER TABLE promotions_keptbytes ADD CONSTRAINT kept_bytes_under_their_digest
    CHECK (digest = 'sha256:' || encode(sha256(content), 'hex'));
CREATE TRIGGER kept_bytes_no_change BEFORE UPDATE OR DELETE ON promotions_keptbytes
    FOR EACH ROW EXECUTE FUNCTION refused('bytes that an approval is over never change');

CREATE TRIGGER promotion_binding_no_change BEFORE UPDATE ON promotions_promotion
    FOR EACH ROW WHEN (ROW(OLD.binding, OLD.binding_digest) IS DISTINCT FROM ROW(NEW.binding, NEW.binding_digest))
    EXECUTE FUNCTION refused('what a promotion bound never changes');
CREATE TRIGGER promotion_voided_stays BEFORE UPDATE ON promotions_promotion
    FOR EACH ROW WHEN (OLD.voided_at IS NOT NULL AND NEW.voided_at IS NULL)
    EXECUTE FUNCTION refused('that an approval was voided is never forgotten');

CREATE FUNCTION promotion_waits_again_when_voided() RETURNS trigger LANGUAGE plpgsql
    SET search_path = public, pg_temp AS $$
BEGIN
    IF NEW.voided_at IS NULL OR EXISTS (
        SELECT 1 FROM promotions_approval a
        WHERE a.promotion_id = NEW.id AND a.decision = 'APPROVE' AND a.voided_at IS NULL
    ) THEN
        RAISE EXCEPTION 'an approved promotion never waits again while its approvals count'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER promotion_waits_again BEFORE UPDATE ON promotions_promotion
    FOR EACH ROW WHEN (OLD.status = 'APPROVED' AND NEW.status = 'PENDING')
    EXECUTE FUNCTION promotion_waits_again_when_voided();

CREATE FUNCTION approval_is_over_the_binding() RETURNS trigger LANGUAGE plpgsql
    SET search_path = public, pg_temp AS $$
BEGIN
    IF NEW.binding_digest IS DISTINCT FROM
       (SELECT p.binding_digest FROM promotions_promotion p WHERE p.id = NEW.promotion_id) THEN
        RAISE EXCEPTION 'an approval is over what its promotion bound'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER approval_of_the_binding BEFORE INSERT ON promotions_approval
    FOR EACH ROW EXECUTE FUNCTION approval_is_over_the_binding();

CREATE OR REPLACE FUNCTION approval_is_immutable() RETURNS trigger LANGUAGE plpgsql
    SET search_path = public, pg_temp AS $$
DECLARE was promotions_approval;
BEGIN
    IF TG_OP = 'UPDATE' THEN
        was := OLD;
        was.voided_at := NEW.voided_at;
        was.void_reason := NEW.void_reason;
        IF OLD.voided_at IS NULL AND NEW.voided_at IS NOT NULL AND was IS NOT DISTINCT FROM NEW
           AND NOT EXISTS (SELECT 1 FROM promotions_rollout r WHERE r.promotion_id = OLD.promotion_id) THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION 'approvals are immutable' USING ERRCODE = 'integrity_constraint_violation';
END $$;

CREATE OR REPLACE FUNCTION rollout_needs_an_approval() RETURNS trigger LANGUAGE plpgsql
    SET search_path = public, pg_temp AS $$
BEGIN
    IF NOT EXISTS (
        SELECT 1 FROM promotions_promotion p JOIN promotions_policyrevision r ON r.id = p.policy_revision_id
        WHERE p.id = NEW.promotion_id AND p.status = 'APPROVED'
          AND p.registered_model_id = NEW.registered_model_id AND p.model_version_id = NEW.model_version_id
          AND (r.body->>'approvals')::int <= (
              SELECT count(DISTINCT u.person) FROM promotions_approval a JOIN accounts_user u ON u.id = a.approver_id
              WHERE a.promotion_id = p.id AND a.decision = 'APPROVE' AND a.voided_at IS NULL)
    ) THEN
        RAISE EXCEPTION 'a rollout needs the approval of its promotion' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("promotions", "0022_binding")]
    # there is no way back from approvals that were voided
    operations = [migrations.RunSQL(FORWARD)]
