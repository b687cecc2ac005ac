"""Calls are kept by UTC day: one partition each, in which an id is unique. Nobody but the owner's functions makes one.

The parent has no key of its own, for PostgreSQL would want the time in it; each day's table has the id as its primary key,
so that ON CONFLICT DO NOTHING counts an id once within its day. make_usage_day takes the same lock as ATTACH PARTITION, by
which two who make one day wait for each other while calls go on being stored, and keeps that day from being dropped until
the caller's transaction ends.
"""

from django.db import migrations

COLUMNS = (
    "event_id, occurred_at, received_at, received_via, outcome, team, cost_center, user_id, model, version, route,"
    " response_code, response_flags, input_tokens, cached_input_tokens, output_tokens, duration_ms, ttft_ms,"
    " unmetered_because"
)
INDEXES = """
CREATE INDEX usage_event_by_time ON metering_usageevent (occurred_at);
CREATE INDEX usage_event_by_team ON metering_usageevent (team, occurred_at DESC);
CREATE INDEX usage_event_by_model ON metering_usageevent (model, occurred_at DESC);
CREATE TRIGGER usage_event_no_change BEFORE UPDATE ON metering_usageevent
    FOR EACH ROW EXECUTE FUNCTION usage_event_is_immutable();
"""
FUNCTIONS = """
CREATE FUNCTION usage_day_table(day date) RETURNS text LANGUAGE sql STABLE
RETURN 'metering_usageevent_' || to_char(day, 'YYYYMMDD');

CREATE FUNCTION make_usage_day(day date) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE part text := usage_day_table(day);
BEGIN
    LOCK TABLE metering_usageevent IN ROW EXCLUSIVE MODE;
    IF to_regclass(part) IS NOT NULL THEN
        RETURN true;
    END IF;
    LOCK TABLE metering_usageevent IN SHARE UPDATE EXCLUSIVE MODE;
    IF to_regclass(part) IS NULL THEN
        EXECUTE format('CREATE TABLE %I (LIKE metering_usageevent INCLUDING ALL, PRIMARY KEY (event_id))', part);
        EXECUTE format(
            'ALTER TABLE metering_usageevent ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
            part, day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC'
        );
    END IF;
    RETURN true;
END $$;
REVOKE ALL ON FUNCTION make_usage_day(date) FROM PUBLIC;
"""
FORWARD = f"""
ALTER TABLE metering_usageevent RENAME TO usage_event_before;
DROP INDEX usage_event_by_time, usage_event_by_team, usage_event_by_model;
CREATE TABLE metering_usageevent (LIKE usage_event_before INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING GENERATED)
    PARTITION BY RANGE (occurred_at);
{INDEXES}
{FUNCTIONS}
SELECT make_usage_day(day) FROM (
    SELECT DISTINCT (occurred_at AT TIME ZONE 'UTC')::date AS day FROM usage_event_before
) AS days;
INSERT INTO metering_usageevent ({COLUMNS}) SELECT {COLUMNS} FROM usage_event_before;
DROP TABLE usage_event_before;
"""
BACKWARD = f"""
ALTER TABLE metering_usageevent RENAME TO usage_event_before;
DROP INDEX usage_event_by_time, usage_event_by_team, usage_event_by_model;
CREATE TABLE metering_usageevent (
    LIKE usage_event_before INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING GENERATED, PRIMARY KEY (event_id)
);
{INDEXES}
INSERT INTO metering_usageevent ({COLUMNS}) SELECT {COLUMNS} FROM usage_event_before;
DROP TABLE usage_event_before;
DROP FUNCTION make_usage_day(date);
DROP FUNCTION IF EXISTS attach_usage_day(date);  -- of 0010, which make_usage_day may still call when this goes back
DROP FUNCTION usage_day_table(date);
"""


class Migration(migrations.Migration):
    dependencies = [("metering", "0007_engine_hours")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
