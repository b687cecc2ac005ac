"""A pipeline's rule comes into force through a change that somebody else approved, and never changes; it ends once."""

from django.db import migrations

FORWARD = """
CREATE TRIGGER pipeline_change_steps BEFORE UPDATE ON accounts_pipelinechange
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status)
    EXECUTE FUNCTION only_these_steps('PENDING>APPROVED', 'PENDING>REJECTED', 'PENDING>WITHDRAWN');
CREATE TRIGGER pipeline_change_begins_pending BEFORE INSERT ON accounts_pipelinechange
    FOR EACH ROW WHEN (NEW.status <> 'PENDING')
    EXECUTE FUNCTION refused('a rule of a pipeline is proposed first');
CREATE TRIGGER pipeline_change_decided_once BEFORE UPDATE ON accounts_pipelinechange
    FOR EACH ROW WHEN (OLD.status <> 'PENDING' AND OLD IS DISTINCT FROM NEW)
    EXECUTE FUNCTION refused('a decided rule of a pipeline never changes');
CREATE TRIGGER pipeline_change_keeps_what_was_asked BEFORE UPDATE ON accounts_pipelinechange
    FOR EACH ROW WHEN (
        ROW(OLD.name, OLD.team_id, OLD.body, OLD.before_id, OLD.justification, OLD.requested_by_id, OLD.requested_at)
        IS DISTINCT FROM ROW(NEW.name, NEW.team_id, NEW.body, NEW.before_id, NEW.justification, NEW.requested_by_id,
            NEW.requested_at))
    EXECUTE FUNCTION refused('what was proposed never changes');
CREATE TRIGGER pipeline_change_no_delete BEFORE DELETE ON accounts_pipelinechange
    FOR EACH ROW EXECUTE FUNCTION refused('a change of a pipeline stays');
CREATE TRIGGER accounts_pipelinechange_two_people BEFORE INSERT OR UPDATE ON accounts_pipelinechange
    FOR EACH ROW WHEN (NEW.status <> 'WITHDRAWN')
    EXECUTE FUNCTION takes_two_people('requested_by_id', 'decided_by_id');

CREATE FUNCTION pipeline_rule_needs_its_change() RETURNS trigger LANGUAGE plpgsql
    SET search_path = public, pg_temp AS $$
BEGIN
    IF NOT EXISTS (
        SELECT 1 FROM accounts_pipelinechange c LEFT JOIN accounts_pipelinerule b ON b.id = c.before_id
        WHERE c.id = NEW.change_id AND c.status = 'APPROVED' AND c.body = NEW.body AND c.name = NEW.name
          AND c.team_id = NEW.team_id AND NEW.number = coalesce(b.number, 0) + 1 AND coalesce(b.name, NEW.name) = NEW.name
          AND NEW.ended_at IS NULL
    ) THEN
        RAISE EXCEPTION 'a pipeline needs an approved rule' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER pipeline_rule_of_a_change BEFORE INSERT ON accounts_pipelinerule
    FOR EACH ROW EXECUTE FUNCTION pipeline_rule_needs_its_change();
CREATE TRIGGER pipeline_rule_stays BEFORE UPDATE ON accounts_pipelinerule
    FOR EACH ROW WHEN (
        ROW(OLD.name, OLD.team_id, OLD.number, OLD.body, OLD.digest, OLD.active_from, OLD.change_id)
        IS DISTINCT FROM ROW(NEW.name, NEW.team_id, NEW.number, NEW.body, NEW.digest, NEW.active_from, NEW.change_id))
    EXECUTE FUNCTION refused('a rule of a pipeline never changes');
CREATE TRIGGER pipeline_rule_ended_once BEFORE UPDATE ON accounts_pipelinerule
    FOR EACH ROW WHEN (OLD.ended_at IS NOT NULL AND OLD IS DISTINCT FROM NEW)
    EXECUTE FUNCTION refused('a pipeline that was ended stays so');
CREATE TRIGGER pipeline_rule_no_delete BEFORE DELETE ON accounts_pipelinerule
    FOR EACH ROW EXECUTE FUNCTION refused('a rule of a pipeline stays');
CREATE TRIGGER pipeline_run_no_change BEFORE UPDATE OR DELETE ON accounts_pipelinerun
    FOR EACH ROW EXECUTE FUNCTION refused('a run that signed in stays');

CREATE TRIGGER user_acts_for_one BEFORE UPDATE ON accounts_user
    FOR EACH ROW WHEN (OLD.acts_for_id IS DISTINCT FROM NEW.acts_for_id)
    EXECUTE FUNCTION refused('whom an account acts for never changes');
"""
BACKWARD = """
DROP TRIGGER user_acts_for_one ON accounts_user;
DROP TRIGGER pipeline_run_no_change ON accounts_pipelinerun;
DROP TRIGGER pipeline_rule_no_delete ON accounts_pipelinerule;
DROP TRIGGER pipeline_rule_ended_once ON accounts_pipelinerule;
DROP TRIGGER pipeline_rule_stays ON accounts_pipelinerule;
DROP TRIGGER pipeline_rule_of_a_change ON accounts_pipelinerule;
DROP FUNCTION pipeline_rule_needs_its_change();
DROP TRIGGER accounts_pipelinechange_two_people ON accounts_pipelinechange;
DROP TRIGGER pipeline_change_no_delete ON accounts_pipelinechange;
DROP TRIGGER pipeline_change_keeps_what_was_asked ON accounts_pipelinechange;
DROP TRIGGER pipeline_change_decided_once ON accounts_pipelinechange;
DROP TRIGGER pipeline_change_begins_pending ON accounts_pipelinechange;
DROP TRIGGER pipeline_change_steps ON accounts_pipelinechange;
"""


class Migration(migrations.Migration):
    dependencies = [("accounts", "0008_pipelines"), ("audit", "0005_guards")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
