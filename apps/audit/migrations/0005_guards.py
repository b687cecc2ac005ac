"""Two functions by which every app's triggers say what may happen to a row: who writes the trigger lists it.

only_these_steps('PENDING>APPROVED', …): the status may take these steps and no other. refused('…'): what the trigger's
WHEN describes never happens, in these words.
"""

from django.db import migrations

FORWARD = """
CREATE FUNCTION only_these_steps() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.status || '>' || NEW.status <> ALL (TG_ARGV) THEN
        RAISE EXCEPTION '%: % never becomes %', TG_TABLE_NAME, OLD.status, NEW.status
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION refused() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '%', TG_ARGV[0] USING ERRCODE = 'integrity_constraint_violation';
END $$;
"""
BACKWARD = """
DROP FUNCTION only_these_steps();
DROP FUNCTION refused();
"""


class Migration(migrations.Migration):
    dependencies = [("audit", "0004_ordered_ids")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
