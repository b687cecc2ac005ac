"""A day's shares are computed anew and never changed, sum to the day, and are marked when what they rest on changes.

mark_days marks whole days; what is open has no last one, so then every later day that was shared out is marked. Today is
left out, and so is tomorrow's first hour: a day is shared out again until it is over, and marks of today would make every
writer wait for every other one. chargeback_mark_life(begins, columns…) is for rows that last from `begins` to `ended_at`:
where only the end moved, the days before both ends stay as they are.
"""

from django.db import migrations

FORWARD = """
CREATE TRIGGER allocation_never_changes BEFORE UPDATE ON chargeback_allocation
    FOR EACH ROW EXECUTE FUNCTION refused('a share of a day is computed anew, never changed');

CREATE FUNCTION allocated_day_sums() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM chargeback_allocatedday d WHERE d.day = NEW.day AND d.total_usd <> (
            SELECT COALESCE(SUM(a.cost_usd), 0) FROM chargeback_allocation a WHERE a.day_id = d.day
        )
    ) THEN
        RAISE EXCEPTION 'the shares of % do not sum to its total', NEW.day
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER allocated_day_sums AFTER INSERT OR UPDATE ON chargeback_allocatedday
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION allocated_day_sums();

CREATE FUNCTION mark_days(first timestamptz, last timestamptz, is_open boolean) RETURNS void LANGUAGE sql AS $$
    INSERT INTO chargeback_changedday (day, changed_at)
    SELECT found.day, clock_timestamp() FROM (
        SELECT each::date AS day FROM generate_series(
            (GREATEST(first, now() - interval '10 years') AT TIME ZONE 'UTC')::date::timestamp,
            (LEAST(last, now()) AT TIME ZONE 'UTC')::date::timestamp,
            interval '1 day'
        ) AS each
        UNION
        SELECT a.day FROM chargeback_allocatedday a WHERE is_open AND a.day >= (first AT TIME ZONE 'UTC')::date
    ) AS found
    WHERE found.day < ((now() + interval '1 hour') AT TIME ZONE 'UTC')::date
    ORDER BY found.day
    ON CONFLICT (day) DO UPDATE SET changed_at = EXCLUDED.changed_at
$$;

CREATE FUNCTION chargeback_mark_life() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    was jsonb := CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) END;
    becomes jsonb := CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) END;
    was_end timestamptz := (was ->> 'ended_at')::timestamptz;
    new_end timestamptz := (becomes ->> 'ended_at')::timestamptz;
    first timestamptz := LEAST((was ->> TG_ARGV[0])::timestamptz, (becomes ->> TG_ARGV[0])::timestamptz);
BEGIN
    IF TG_OP = 'UPDATE' AND NOT EXISTS (
        SELECT FROM unnest(TG_ARGV) AS name WHERE was -> name IS DISTINCT FROM becomes -> name
    ) THEN
        IF was_end IS NOT DISTINCT FROM new_end THEN
            RETURN NULL;
        END IF;
        first := LEAST(was_end, new_end);
    END IF;
    PERFORM mark_days(
        first,
        COALESCE(GREATEST(was_end, new_end), first),
        (was IS NOT NULL AND was_end IS NULL) OR (becomes IS NOT NULL AND new_end IS NULL)
    );
    RETURN NULL;
END $$;
CREATE TRIGGER chargeback_marks_days AFTER INSERT OR UPDATE OR DELETE ON fleet_nodeinterval
    FOR EACH ROW EXECUTE FUNCTION chargeback_mark_life(
        'started_at', 'node_claim_id', 'instance_type', 'capacity_type', 'price_usd_per_hour', 'price_basis', 'observed'
    );
CREATE TRIGGER chargeback_marks_days AFTER INSERT OR UPDATE OR DELETE ON fleet_replica
    FOR EACH ROW EXECUTE FUNCTION chargeback_mark_life(
        'created_at', 'node_name', 'node_claim_name', 'gpu_count', 'mig_slices', 'namespace', 'service', 'model', 'ready_at'
    );

CREATE FUNCTION chargeback_mark_hours() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM mark_days(days.at, days.at, false) FROM (
        SELECT DISTINCT date_trunc('day', hour, 'UTC') AS at FROM rows ORDER BY at
    ) AS days;
    RETURN NULL;
END $$;
CREATE TRIGGER chargeback_marks_new_hours AFTER INSERT ON metering_hourlyusage
    REFERENCING NEW TABLE AS rows FOR EACH STATEMENT EXECUTE FUNCTION chargeback_mark_hours();
CREATE TRIGGER chargeback_marks_old_hours AFTER DELETE ON metering_hourlyusage
    REFERENCING OLD TABLE AS rows FOR EACH STATEMENT EXECUTE FUNCTION chargeback_mark_hours();
"""
BACKWARD = """
DROP TRIGGER chargeback_marks_old_hours ON metering_hourlyusage;
DROP TRIGGER chargeback_marks_new_hours ON metering_hourlyusage;
DROP FUNCTION chargeback_mark_hours();
DROP TRIGGER chargeback_marks_days ON fleet_replica;
DROP TRIGGER chargeback_marks_days ON fleet_nodeinterval;
DROP FUNCTION chargeback_mark_life();
DROP FUNCTION mark_days(timestamptz, timestamptz, boolean);
DROP TRIGGER allocated_day_sums ON chargeback_allocatedday;
DROP FUNCTION allocated_day_sums();
DROP TRIGGER allocation_never_changes ON chargeback_allocation;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("chargeback", "0003_allocation"),
        ("audit", "0005_guards"),
        ("fleet", "0005_mig_slices"),
        ("metering", "0004_refusals_by_code"),
    ]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
