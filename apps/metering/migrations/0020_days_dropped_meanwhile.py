"""Two days are held against each other while days are dropped: one that goes away meanwhile has no ids, and is no
error. It was there when its table was looked for, and gone when its lock came free.
"""

from django.db import migrations

SHARED_IDS = """
CREATE OR REPLACE FUNCTION {name}(day date, other date) RETURNS SETOF uuid
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    one text := {table}(day);
    two text := {table}(other);
BEGIN
    IF to_regclass(one) IS NOT NULL AND to_regclass(two) IS NOT NULL THEN
        RETURN QUERY EXECUTE format('SELECT a.event_id FROM %I a JOIN %I b ON b.event_id = a.event_id', one, two);
    END IF;
EXCEPTION WHEN undefined_table THEN
    RETURN;
END $$;
"""
FORWARD = "".join(
    SHARED_IDS.format(name=name, table=table)
    for name, table in (("shared_usage_ids", "usage_day_table"), ("shared_key_ids", "key_day_table"))
)


class Migration(migrations.Migration):
    dependencies = [("metering", "0019_imports")]
    operations = [migrations.RunSQL(FORWARD, migrations.RunSQL.noop)]
