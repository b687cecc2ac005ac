"""An emergency takes two people, is reviewed once, and never changes otherwise; a rollout begins with the approvals of
its promotion, or in an emergency.
"""

from django.db import migrations

FORWARD = """
DROP TRIGGER promotion_steps ON promotions_promotion;
CREATE TRIGGER promotion_steps BEFORE UPDATE ON promotions_promotion
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status)
    EXECUTE FUNCTION only_these_steps(
        'PENDING>APPROVED', 'PENDING>REJECTED', 'PENDING>WITHDRAWN', 'PENDING>EXPIRED', 'PENDING>EMERGENCY',
        'APPROVED>PENDING', 'APPROVED>WITHDRAWN', 'APPROVED>EXPIRED', 'APPROVED>SUPERSEDED', 'APPROVED>EMERGENCY');

ALTER TABLE promotions_emergency ADD CONSTRAINT emergency_repeats_the_requester
    FOREIGN KEY (promotion_id, proposed_by_id) REFERENCES promotions_promotion (id, requested_by_id);
CREATE TRIGGER promotions_emergency_two_people BEFORE INSERT ON promotions_emergency
    FOR EACH ROW EXECUTE FUNCTION takes_two_people('proposed_by_id', 'requested_by_id');
CREATE TRIGGER promotions_emergency_reviewed_by_another BEFORE UPDATE ON promotions_emergency
    FOR EACH ROW EXECUTE FUNCTION takes_two_people('requested_by_id', 'decided_by_id');
CREATE TRIGGER promotions_emergency_not_by_requester BEFORE UPDATE ON promotions_emergency
    FOR EACH ROW EXECUTE FUNCTION takes_two_people('proposed_by_id', 'decided_by_id');
CREATE TRIGGER emergency_steps BEFORE UPDATE ON promotions_emergency
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status)
    EXECUTE FUNCTION only_these_steps('PENDING>UPHELD', 'PENDING>OBJECTED');
CREATE TRIGGER emergency_reviewed_once BEFORE UPDATE ON promotions_emergency
    FOR EACH ROW WHEN (OLD.status <> 'PENDING' AND OLD IS DISTINCT FROM NEW)
    EXECUTE FUNCTION refused('a reviewed emergency never changes');
CREATE TRIGGER emergency_keeps_what_was_stated BEFORE UPDATE ON promotions_emergency
    FOR EACH ROW WHEN (
        ROW(OLD.promotion_id, OLD.proposed_by_id, OLD.requested_by_id, OLD.requested_at, OLD.statement, OLD.skipped,
            OLD.evidence, OLD.review_due_at)
        IS DISTINCT FROM ROW(NEW.promotion_id, NEW.proposed_by_id, NEW.requested_by_id, NEW.requested_at,
            NEW.statement, NEW.skipped, NEW.evidence, NEW.review_due_at))
    EXECUTE FUNCTION refused('what was stated of an emergency never changes');
CREATE TRIGGER emergency_no_delete BEFORE DELETE ON promotions_emergency
    FOR EACH ROW EXECUTE FUNCTION refused('an emergency stays');

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
    ) AND NOT EXISTS (
        SELECT 1 FROM promotions_promotion p JOIN promotions_emergency e ON e.promotion_id = p.id
        WHERE p.id = NEW.promotion_id AND p.status = 'EMERGENCY'
          AND p.registered_model_id = NEW.registered_model_id AND p.model_version_id = NEW.model_version_id
    ) THEN
        RAISE EXCEPTION 'a rollout needs the approval of its promotion' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("promotions", "0025_emergencies"),
        ("accounts", "0004_two_people"),
        ("audit", "0005_guards"),
    ]
    # an emergency that there was cannot be taken back
    operations = [migrations.RunSQL(FORWARD)]
