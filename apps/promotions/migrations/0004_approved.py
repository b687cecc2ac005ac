"""No rollout without an approval of somebody else, and no approval that changes: whoever writes the rows."""

from django.db import migrations

FORWARD = """
CREATE FUNCTION rollout_needs_an_approval() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT 1 FROM promotions_promotion p JOIN promotions_approval a ON a.promotion_id = p.id
        WHERE p.id = NEW.promotion_id AND p.status = 'APPROVED' AND a.decision = 'APPROVE'
          AND p.registered_model_id = NEW.registered_model_id AND p.model_version_id = NEW.model_version_id
    ) THEN
        RAISE EXCEPTION 'a rollout needs the approval of its promotion' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER rollout_of_an_approval BEFORE INSERT OR UPDATE OF promotion_id, registered_model_id, model_version_id
    ON promotions_rollout FOR EACH ROW EXECUTE FUNCTION rollout_needs_an_approval();

CREATE FUNCTION approval_is_immutable() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'approvals are immutable' USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER approval_no_change BEFORE UPDATE OR DELETE ON promotions_approval
    FOR EACH ROW EXECUTE FUNCTION approval_is_immutable();
"""
BACKWARD = """
DROP TRIGGER rollout_of_an_approval ON promotions_rollout;
DROP FUNCTION rollout_needs_an_approval();
DROP TRIGGER approval_no_change ON promotions_approval;
DROP FUNCTION approval_is_immutable();
"""


class Migration(migrations.Migration):
    dependencies = [("promotions", "0003_steps")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
