"""A day of calls is dropped only while what it holds is what was archived, and is made anew only by bringing it back.

What the archive says of an object never changes; DROPPED and RESTORED are said where it is so, whoever says it. While a day
is looked at to be dropped, nobody writes into it. lock_timeout: rather than hold up those who store calls, it is tried again.
"""

from django.db import migrations

FORWARD = """
CREATE FUNCTION usage_day_fingerprint(day date, OUT calls bigint, OUT fingerprint numeric)
LANGUAGE sql STABLE SET timezone = 'UTC' SET datestyle = 'ISO' SET extra_float_digits = 1 AS $$
    SELECT count(*), COALESCE(sum(hashtextextended(e::text, 0)), 0) FROM metering_usageevent e
    WHERE occurred_at >= day::timestamp AT TIME ZONE 'UTC' AND occurred_at < (day + 1)::timestamp AT TIME ZONE 'UTC'
$$;

CREATE OR REPLACE FUNCTION make_usage_day(day date) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE part text := usage_day_table(day);
BEGIN
    LOCK TABLE metering_usageevent IN ROW EXCLUSIVE MODE;
    IF to_regclass(part) IS NOT NULL THEN
        RETURN true;
    END IF;
    IF EXISTS (SELECT FROM metering_archivedday a WHERE a.day = make_usage_day.day AND a.status = 'DROPPED') THEN
        RETURN false;
    END IF;
    PERFORM attach_usage_day(day);
    RETURN true;
END $$;

CREATE OR REPLACE FUNCTION attach_usage_day(day date) RETURNS void LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE part text := usage_day_table(day);
BEGIN
    LOCK TABLE metering_usageevent IN SHARE UPDATE EXCLUSIVE MODE;
    IF to_regclass(part) IS NULL THEN
        EXECUTE format('CREATE TABLE %I (LIKE metering_usageevent INCLUDING ALL, PRIMARY KEY (event_id))', part);
        EXECUTE format(
            'ALTER TABLE metering_usageevent ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
            part, day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC'
        );
    END IF;
END $$;

CREATE FUNCTION drop_usage_day(day date, at timestamptz) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET lock_timeout = '5s' AS $$
DECLARE
    part text := usage_day_table(day);
    kept metering_archivedday;
BEGIN
    EXECUTE format('LOCK TABLE %I IN SHARE MODE', part);
    SELECT * INTO kept FROM metering_archivedday a
        WHERE a.day = drop_usage_day.day AND a.status = 'VERIFIED' FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the calls of % are not in the archive', day USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF EXISTS (SELECT FROM metering_dirtyhour WHERE (hour AT TIME ZONE 'UTC')::date = day) OR NOT EXISTS (
        SELECT FROM usage_day_fingerprint(day) f WHERE f.calls = kept.rows AND f.fingerprint = kept.fingerprint
    ) THEN
        RETURN false;
    END IF;
    EXECUTE format('DROP TABLE %I', part);
    UPDATE metering_archivedday SET status = 'DROPPED', dropped_at = at WHERE id = kept.id;
    RETURN true;
END $$;

CREATE FUNCTION restore_usage_day(day date, at timestamptz) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET lock_timeout = '5s' AS $$
DECLARE kept uuid;
BEGIN
    SELECT id INTO kept FROM metering_archivedday a
        WHERE a.day = restore_usage_day.day AND a.status = 'DROPPED' FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the calls of % were never dropped', day USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    PERFORM attach_usage_day(day);
    UPDATE metering_archivedday SET status = 'RESTORED', restored_at = at WHERE id = kept;
END $$;
REVOKE ALL ON FUNCTION attach_usage_day(date), drop_usage_day(date, timestamptz), restore_usage_day(date, timestamptz)
    FROM PUBLIC;

CREATE TRIGGER archived_day_steps BEFORE UPDATE ON metering_archivedday
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status)
    EXECUTE FUNCTION only_these_steps('WAITING>VERIFIED', 'VERIFIED>REPLACED', 'VERIFIED>DROPPED', 'DROPPED>RESTORED');
CREATE TRIGGER archived_day_never_changes BEFORE UPDATE ON metering_archivedday
    FOR EACH ROW WHEN (
        OLD.status <> 'WAITING'
        AND (OLD.day, OLD.object_key, OLD.version_id, OLD.sha256, OLD.size_bytes, OLD.rows, OLD.fingerprint, OLD.archived_at)
        IS DISTINCT FROM
        (NEW.day, NEW.object_key, NEW.version_id, NEW.sha256, NEW.size_bytes, NEW.rows, NEW.fingerprint, NEW.archived_at)
    )
    EXECUTE FUNCTION refused('what the archive says of its objects never changes');
CREATE FUNCTION archived_day_is_so() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.status = 'DROPPED') = (to_regclass(usage_day_table(NEW.day)) IS NOT NULL) THEN
        RAISE EXCEPTION 'the calls of % are not where it says', NEW.day USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER archived_day_is_so BEFORE UPDATE ON metering_archivedday
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status AND NEW.status IN ('DROPPED', 'RESTORED'))
    EXECUTE FUNCTION archived_day_is_so();
CREATE TRIGGER archived_day_begins_as_waiting BEFORE INSERT ON metering_archivedday
    FOR EACH ROW WHEN (NEW.status <> 'WAITING') EXECUTE FUNCTION refused('a day begins its archiving by waiting for it');
"""
BACKWARD = """
DROP TRIGGER archived_day_begins_as_waiting ON metering_archivedday;
DROP TRIGGER archived_day_is_so ON metering_archivedday;
DROP TRIGGER archived_day_never_changes ON metering_archivedday;
DROP TRIGGER archived_day_steps ON metering_archivedday;
DROP FUNCTION archived_day_is_so();
DROP FUNCTION restore_usage_day(date, timestamptz);
DROP FUNCTION drop_usage_day(date, timestamptz);
CREATE OR REPLACE FUNCTION make_usage_day(day date) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM attach_usage_day(day);
    RETURN true;
END $$;
DROP FUNCTION usage_day_fingerprint(date);
"""


class Migration(migrations.Migration):
    dependencies = [("metering", "0009_archive"), ("audit", "0005_guards")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
