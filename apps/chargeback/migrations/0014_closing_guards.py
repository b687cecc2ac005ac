"""A month is closed once, by somebody else than who asked; a statement is of a close, and never changes."""

from django.db import migrations

FORWARD = """
CREATE TRIGGER month_close_steps BEFORE UPDATE ON chargeback_monthclose
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status)
    EXECUTE FUNCTION only_these_steps('PENDING>CLOSED', 'PENDING>REJECTED', 'PENDING>WITHDRAWN');
CREATE TRIGGER month_close_begins_pending BEFORE INSERT ON chargeback_monthclose
    FOR EACH ROW WHEN (NEW.status <> 'PENDING')
    EXECUTE FUNCTION refused('a close begins with a request');
CREATE TRIGGER month_close_decided_once BEFORE UPDATE ON chargeback_monthclose
    FOR EACH ROW WHEN (OLD.status <> 'PENDING' AND OLD IS DISTINCT FROM NEW)
    EXECUTE FUNCTION refused('a close that was decided never changes');
CREATE TRIGGER month_close_never_deleted BEFORE DELETE ON chargeback_monthclose
    FOR EACH ROW EXECUTE FUNCTION refused('a close stays in the record');

CREATE FUNCTION statement_needs_a_closed_month() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM chargeback_monthclose WHERE id = NEW.close_id AND status = 'CLOSED') THEN
        RAISE EXCEPTION 'a statement is of a closed month' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER statement_of_a_closed_month BEFORE INSERT ON chargeback_statement
    FOR EACH ROW EXECUTE FUNCTION statement_needs_a_closed_month();
CREATE TRIGGER statement_never_changes BEFORE UPDATE OR DELETE ON chargeback_statement
    FOR EACH ROW EXECUTE FUNCTION refused('a statement never changes');
CREATE TRIGGER statement_line_never_changes BEFORE UPDATE OR DELETE ON chargeback_statementline
    FOR EACH ROW EXECUTE FUNCTION refused('a statement never changes');
"""
BACKWARD = """
DROP TRIGGER statement_line_never_changes ON chargeback_statementline;
DROP TRIGGER statement_never_changes ON chargeback_statement;
DROP TRIGGER statement_of_a_closed_month ON chargeback_statement;
DROP FUNCTION statement_needs_a_closed_month();
DROP TRIGGER month_close_never_deleted ON chargeback_monthclose;
DROP TRIGGER month_close_decided_once ON chargeback_monthclose;
DROP TRIGGER month_close_begins_pending ON chargeback_monthclose;
DROP TRIGGER month_close_steps ON chargeback_monthclose;
"""


class Migration(migrations.Migration):
    dependencies = [("chargeback", "0013_closing"), ("audit", "0005_guards")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
