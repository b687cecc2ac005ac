"""A bill that was read never changes, but for when another one took its place; the lines of the one that counts stay."""

from django.db import migrations

FORWARD = """
CREATE TRIGGER bill_never_changes BEFORE UPDATE ON chargeback_bill
    FOR EACH ROW WHEN (
        OLD.replaced_at IS NOT NULL
        OR to_jsonb(OLD) - 'replaced_at' IS DISTINCT FROM to_jsonb(NEW) - 'replaced_at'
    )
    EXECUTE FUNCTION refused('a bill that was read never changes');
CREATE TRIGGER bill_stays BEFORE DELETE ON chargeback_bill
    FOR EACH ROW EXECUTE FUNCTION refused('a bill stays in the record');
CREATE TRIGGER bill_line_never_changes BEFORE UPDATE ON chargeback_billline
    FOR EACH ROW EXECUTE FUNCTION refused('a line of a bill never changes');

CREATE FUNCTION bill_lines_stay_while_they_count() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM gone JOIN chargeback_bill b ON b.id = gone.bill_id WHERE b.replaced_at IS NULL) THEN
        RAISE EXCEPTION 'the lines of a bill that counts stay' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER bill_lines_stay_while_they_count AFTER DELETE ON chargeback_billline
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION bill_lines_stay_while_they_count();
"""
BACKWARD = """
DROP TRIGGER bill_lines_stay_while_they_count ON chargeback_billline;
DROP FUNCTION bill_lines_stay_while_they_count();
DROP TRIGGER bill_line_never_changes ON chargeback_billline;
DROP TRIGGER bill_stays ON chargeback_bill;
DROP TRIGGER bill_never_changes ON chargeback_bill;
"""


class Migration(migrations.Migration):
    dependencies = [("chargeback", "0017_bills"), ("audit", "0005_guards")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
