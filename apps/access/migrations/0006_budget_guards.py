"""A budget ends and never changes, a raise has its decision, and a grant tells no second amount."""

from django.db import migrations

FORWARD = """
CREATE FUNCTION budget_strictness(mode text) RETURNS int LANGUAGE sql IMMUTABLE
    SET search_path = public, pg_temp
    AS $$ SELECT array_position(ARRAY['WARN', 'SOFT', 'HARD'], mode) $$;
CREATE FUNCTION budget_raise_needs_a_decision() RETURNS trigger LANGUAGE plpgsql
    SET search_path = public, pg_temp AS $$
DECLARE old access_budget%ROWTYPE;
BEGIN
    SELECT * INTO old FROM access_budget b WHERE b.series = NEW.series ORDER BY b.active_from DESC, b.active_to DESC
        LIMIT 1;
    IF NOT FOUND THEN
        RETURN NEW;
    END IF;
    IF (old.cost_center_id, old.team_id, old.registered_model_id, old.unit)
       IS DISTINCT FROM (NEW.cost_center_id, NEW.team_id, NEW.registered_model_id, NEW.unit) THEN
        RAISE EXCEPTION 'a budget keeps its scope and unit' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.amount <= old.amount AND budget_strictness(NEW.mode) >= budget_strictness(old.mode)
       AND NEW.zone = old.zone THEN
        RETURN NEW;
    END IF;
    IF EXISTS (
        SELECT 1 FROM access_budgetchange c WHERE c.id = NEW.change_id AND c.budget_id = old.id
          AND c.status = 'APPROVED' AND (c.amount, c.mode, c.zone) = (NEW.amount, NEW.mode, NEW.zone)
    ) OR (NEW.grant_id IS DISTINCT FROM old.grant_id AND (NEW.mode, NEW.zone) = (old.mode, old.zone) AND EXISTS (
        SELECT 1 FROM access_grant g JOIN access_accessrequest r ON r.id = g.request_id
        WHERE g.id = NEW.grant_id AND r.status = 'APPROVED' AND r.monthly_budget_usd = NEW.amount
          AND g.team_id = NEW.team_id AND g.registered_model_id = NEW.registered_model_id
    )) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'a budget that lets more be spent needs a decision by another person'
        USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER budget_raise_decided BEFORE INSERT ON access_budget
    FOR EACH ROW EXECUTE FUNCTION budget_raise_needs_a_decision();
CREATE TRIGGER budget_never_goes_on BEFORE UPDATE ON access_budget
    FOR EACH ROW WHEN (OLD.active_to IS NOT NULL AND (NEW.active_to IS NULL OR NEW.active_to > OLD.active_to))
    EXECUTE FUNCTION refused('a budget never goes on after its end');
CREATE TRIGGER budget_ended_once BEFORE UPDATE ON access_budget
    FOR EACH ROW WHEN (OLD.ended_by_id IS NOT NULL AND OLD IS DISTINCT FROM NEW)
    EXECUTE FUNCTION refused('a budget that was ended never changes');
CREATE TRIGGER budget_change_steps BEFORE UPDATE ON access_budgetchange
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status)
    EXECUTE FUNCTION only_these_steps('PENDING>APPROVED', 'PENDING>REJECTED', 'PENDING>WITHDRAWN');
CREATE TRIGGER budget_change_decided_once BEFORE UPDATE ON access_budgetchange
    FOR EACH ROW WHEN (OLD.status <> 'PENDING' AND OLD IS DISTINCT FROM NEW)
    EXECUTE FUNCTION refused('a decided change of a budget never changes');
CREATE TRIGGER boost_steps BEFORE UPDATE ON access_boost
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status)
    EXECUTE FUNCTION only_these_steps('PENDING>APPROVED', 'PENDING>REJECTED', 'PENDING>WITHDRAWN');
CREATE TRIGGER boost_decided_once BEFORE UPDATE ON access_boost
    FOR EACH ROW WHEN (OLD.status <> 'PENDING' AND OLD IS DISTINCT FROM NEW)
    EXECUTE FUNCTION refused('a decided boost never changes');
"""
BACKWARD = """
DROP TRIGGER budget_raise_decided ON access_budget;
DROP TRIGGER budget_never_goes_on ON access_budget;
DROP TRIGGER budget_ended_once ON access_budget;
DROP TRIGGER budget_change_steps ON access_budgetchange;
DROP TRIGGER budget_change_decided_once ON access_budgetchange;
DROP TRIGGER boost_steps ON access_boost;
DROP TRIGGER boost_decided_once ON access_boost;
DROP FUNCTION budget_raise_needs_a_decision();
DROP FUNCTION budget_strictness(text);
"""


class Migration(migrations.Migration):
    dependencies = [("access", "0005_budgets"), ("audit", "0005_guards")]
    operations = [
        migrations.RunSQL(FORWARD, BACKWARD),
        migrations.RemoveField(model_name="grant", name="monthly_budget_usd"),
    ]
