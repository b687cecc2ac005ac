"""Guard rules come into force through a change that somebody else approved, and never change; of a hit nothing changes
but what people say of it.
"""

from django.db import migrations

FORWARD = """
CREATE TRIGGER guardrail_revision_no_change BEFORE UPDATE OR DELETE ON gateway_guardrailrevision
    FOR EACH ROW EXECUTE FUNCTION refused('a revision of guard rules never changes');
CREATE FUNCTION guardrail_revision_needs_its_change() RETURNS trigger LANGUAGE plpgsql
    SET search_path = public, pg_temp AS $$
BEGIN
    IF NEW.number > 1 AND NOT EXISTS (
        SELECT 1 FROM gateway_guardrailchange c JOIN gateway_guardrailrevision b ON b.id = c.before_id
        WHERE c.id = NEW.change_id AND c.status = 'APPROVED' AND c.body = NEW.body
          AND c.environment = NEW.environment AND b.environment = NEW.environment AND b.number = NEW.number - 1
    ) THEN
        RAISE EXCEPTION 'guard rules need an approved change' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER guardrail_revision_of_a_change BEFORE INSERT ON gateway_guardrailrevision
    FOR EACH ROW EXECUTE FUNCTION guardrail_revision_needs_its_change();

CREATE TRIGGER guardrail_change_steps BEFORE UPDATE ON gateway_guardrailchange
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status)
    EXECUTE FUNCTION only_these_steps('PENDING>APPROVED', 'PENDING>REJECTED', 'PENDING>WITHDRAWN');
CREATE TRIGGER guardrail_change_decided_once BEFORE UPDATE ON gateway_guardrailchange
    FOR EACH ROW WHEN (OLD.status <> 'PENDING' AND OLD IS DISTINCT FROM NEW)
    EXECUTE FUNCTION refused('a decided change of guard rules never changes');
CREATE TRIGGER guardrail_change_keeps_what_was_asked BEFORE UPDATE ON gateway_guardrailchange
    FOR EACH ROW WHEN (
        ROW(OLD.environment, OLD.body, OLD.before_id, OLD.justification, OLD.requested_by_id, OLD.requested_at)
        IS DISTINCT FROM
        ROW(NEW.environment, NEW.body, NEW.before_id, NEW.justification, NEW.requested_by_id, NEW.requested_at))
    EXECUTE FUNCTION refused('what was proposed never changes');
CREATE TRIGGER guardrail_change_no_delete BEFORE DELETE ON gateway_guardrailchange
    FOR EACH ROW EXECUTE FUNCTION refused('a change of guard rules stays');
CREATE TRIGGER gateway_guardrailchange_two_people BEFORE INSERT OR UPDATE ON gateway_guardrailchange
    FOR EACH ROW WHEN (NEW.status <> 'WITHDRAWN')
    EXECUTE FUNCTION takes_two_people('requested_by_id', 'decided_by_id');

CREATE TRIGGER guard_hit_keeps_what_was_found BEFORE UPDATE ON gateway_guardhit
    FOR EACH ROW WHEN (
        ROW(OLD.id, OLD.call, OLD.at, OLD.phase, OLD.rule, OLD.provider, OLD.detector, OLD.does, OLD."where", OLD.count,
            OLD.team, OLD.model, OLD.rules)
        IS DISTINCT FROM
        ROW(NEW.id, NEW.call, NEW.at, NEW.phase, NEW.rule, NEW.provider, NEW.detector, NEW.does, NEW."where", NEW.count,
            NEW.team, NEW.model, NEW.rules))
    EXECUTE FUNCTION refused('what was found never changes');
CREATE TRIGGER guard_hit_no_delete BEFORE DELETE ON gateway_guardhit
    FOR EACH ROW EXECUTE FUNCTION refused('what was found stays');
"""
BACKWARD = """
DROP TRIGGER guard_hit_no_delete ON gateway_guardhit;
DROP TRIGGER guard_hit_keeps_what_was_found ON gateway_guardhit;
DROP TRIGGER gateway_guardrailchange_two_people ON gateway_guardrailchange;
DROP TRIGGER guardrail_change_no_delete ON gateway_guardrailchange;
DROP TRIGGER guardrail_change_keeps_what_was_asked ON gateway_guardrailchange;
DROP TRIGGER guardrail_change_decided_once ON gateway_guardrailchange;
DROP TRIGGER guardrail_change_steps ON gateway_guardrailchange;
DROP TRIGGER guardrail_revision_of_a_change ON gateway_guardrailrevision;
DROP FUNCTION guardrail_revision_needs_its_change();
DROP TRIGGER guardrail_revision_no_change ON gateway_guardrailrevision;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("gateway", "0003_guardrails"),
        ("accounts", "0004_two_people"),
        ("audit", "0005_guards"),
    ]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
