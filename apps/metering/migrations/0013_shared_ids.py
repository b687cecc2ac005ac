"""The ids that two days share, from their keys alone: to read a day through the parent table would read its calls, too."""

from django.db import migrations

FORWARD = """
CREATE FUNCTION shared_usage_ids(day date, other date) RETURNS SETOF uuid
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    one text := usage_day_table(day);
    two text := usage_day_table(other);
BEGIN
    IF to_regclass(one) IS NOT NULL AND to_regclass(two) IS NOT NULL THEN
        RETURN QUERY EXECUTE format('SELECT a.event_id FROM %I a JOIN %I b ON b.event_id = a.event_id', one, two);
    END IF;
END $$;
REVOKE ALL ON FUNCTION shared_usage_ids(date, date) FROM PUBLIC;
"""
BACKWARD = "DROP FUNCTION shared_usage_ids(date, date);"


class Migration(migrations.Migration):
    dependencies = [("metering", "0012_sealing")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
