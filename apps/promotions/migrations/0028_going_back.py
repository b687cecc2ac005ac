"""Going back needs what its promotion began with, and nothing anew: accounts that turn out to be one person's hold up
what has not begun, and never the way back.

A rollout that goes back is of a promotion that was carried out before, from a rollout of the same model. Any other one needs its approvals by persons who are not whoever proposed it.
A live version that has none to go back to can be stopped.
"""

from django.db import migrations

FORWARD = """
CREATE OR REPLACE FUNCTION rollout_needs_an_approval() RETURNS trigger LANGUAGE plpgsql
    SET search_path = public, pg_temp AS $$
BEGIN
    IF NEW.rolls_back_id IS NOT NULL THEN
        IF NOT EXISTS (
            SELECT 1 FROM promotions_rollout before JOIN promotions_rollout back ON back.id = NEW.rolls_back_id
            WHERE before.promotion_id = NEW.promotion_id AND before.rolls_back_id IS NULL
              AND before.registered_model_id = NEW.registered_model_id
              AND before.model_version_id = NEW.model_version_id
              AND back.registered_model_id = NEW.registered_model_id
        ) THEN
            RAISE EXCEPTION 'a rollout goes back to what was carried out before'
                USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'rollout_goes_back';
        END IF;
        RETURN NEW;
    END IF;
    IF NOT EXISTS (
        SELECT 1 FROM promotions_promotion p JOIN promotions_policyrevision r ON r.id = p.policy_revision_id
        JOIN accounts_user asked ON asked.id = p.requested_by_id
        WHERE p.id = NEW.promotion_id AND p.status = 'APPROVED'
          AND p.registered_model_id = NEW.registered_model_id AND p.model_version_id = NEW.model_version_id
          AND (r.body->>'approvals')::int <= (
              SELECT count(DISTINCT u.person) FROM promotions_approval a JOIN accounts_user u ON u.id = a.approver_id
              WHERE a.promotion_id = p.id AND a.decision = 'APPROVE' AND a.voided_at IS NULL
                AND u.person <> asked.person)
    ) AND NOT EXISTS (
        SELECT 1 FROM promotions_promotion p JOIN promotions_emergency e ON e.promotion_id = p.id
        WHERE p.id = NEW.promotion_id AND p.status = 'EMERGENCY'
          AND p.registered_model_id = NEW.registered_model_id AND p.model_version_id = NEW.model_version_id
    ) THEN
        RAISE EXCEPTION 'a rollout needs the approval of its promotion'
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'rollout_of_an_approval';
    END IF;
    RETURN NEW;
END $$;
DROP TRIGGER rollout_of_an_approval ON promotions_rollout;
CREATE TRIGGER rollout_of_an_approval
    BEFORE INSERT OR UPDATE OF promotion_id, registered_model_id, model_version_id, rolls_back_id
    ON promotions_rollout FOR EACH ROW EXECUTE FUNCTION rollout_needs_an_approval();

DROP TRIGGER rollout_steps ON promotions_rollout;
CREATE TRIGGER rollout_steps BEFORE UPDATE ON promotions_rollout
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status)
    EXECUTE FUNCTION only_these_steps(
        'PENDING>PROGRESSING', 'PENDING>LIVE', 'PROGRESSING>LIVE', 'LIVE>REPLACED', 'LIVE>ABORTED',
        'PENDING>FAILED', 'PROGRESSING>FAILED', 'FAILED>PROGRESSING',
        'PENDING>ABORTED', 'PROGRESSING>ABORTED', 'FAILED>ABORTED',
        'PENDING>SUPERSEDED', 'PROGRESSING>SUPERSEDED');
"""


class Migration(migrations.Migration):
    dependencies = [("promotions", "0027_serving_settings"), ("accounts", "0007_decided_by_two")]
    # a way back that was taken cannot be refused afterwards
    operations = [migrations.RunSQL(FORWARD)]
