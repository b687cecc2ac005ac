"""The keys of calls that another store than Postgres holds: kept by UTC day, unique within it, and guarded as calls here are.

A day of keys is made, held against the archive, dropped and brought back by functions like those of calls (0008, 0010, 0011,
0013). A day that was dropped is one of neither.
"""

from django.db import migrations, models

FORWARD = """
CREATE TABLE metering_callkey (
    event_id uuid NOT NULL, occurred_at timestamptz NOT NULL, received_at timestamptz NOT NULL, hash bigint NOT NULL
) PARTITION BY RANGE (occurred_at);
CREATE INDEX call_key_by_time ON metering_callkey (occurred_at);
CREATE TRIGGER call_key_no_change BEFORE UPDATE ON metering_callkey
    FOR EACH ROW EXECUTE FUNCTION usage_event_is_immutable();

CREATE FUNCTION key_day_table(day date) RETURNS text LANGUAGE sql STABLE
RETURN 'metering_callkey_' || to_char(day, 'YYYYMMDD');

CREATE FUNCTION attach_key_day(day date) RETURNS void LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE part text := key_day_table(day);
BEGIN
    LOCK TABLE metering_callkey IN SHARE UPDATE EXCLUSIVE MODE;
    IF to_regclass(part) IS NULL THEN
        EXECUTE format('CREATE TABLE %I (LIKE metering_callkey INCLUDING ALL, PRIMARY KEY (event_id))', part);
        EXECUTE format(
            'ALTER TABLE metering_callkey ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
            part, day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC'
        );
    END IF;
END $$;

CREATE FUNCTION make_key_day(day date) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    LOCK TABLE metering_callkey IN ROW EXCLUSIVE MODE;
    IF to_regclass(key_day_table(day)) IS NOT NULL THEN
        RETURN true;
    END IF;
    IF EXISTS (SELECT FROM metering_archivedday a WHERE a.day = make_key_day.day AND a.status = 'DROPPED') THEN
        RETURN false;
    END IF;
    PERFORM attach_key_day(day);
    RETURN true;
END $$;

CREATE FUNCTION key_day_fingerprint(day date, OUT calls bigint, OUT fingerprint numeric) LANGUAGE sql STABLE AS $$
    SELECT count(*), COALESCE(sum(hash), 0) FROM metering_callkey
    WHERE occurred_at >= day::timestamp AT TIME ZONE 'UTC' AND occurred_at < (day + 1)::timestamp AT TIME ZONE 'UTC'
$$;

CREATE FUNCTION drop_key_day(day date, at timestamptz) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET lock_timeout = '5s' AS $$
DECLARE
    part text := key_day_table(day);
    kept metering_archivedday;
BEGIN
    EXECUTE format('LOCK TABLE %I IN SHARE MODE', part);
    SELECT * INTO kept FROM metering_archivedday a
        WHERE a.day = drop_key_day.day AND a.status = 'VERIFIED' FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the calls of % are not in the archive', day USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF EXISTS (SELECT FROM metering_dirtyhour WHERE (hour AT TIME ZONE 'UTC')::date = day) OR NOT EXISTS (
        SELECT FROM key_day_fingerprint(day) f WHERE f.calls = kept.rows AND f.fingerprint = kept.fingerprint
    ) THEN
        RETURN false;
    END IF;
    EXECUTE format('DROP TABLE %I', part);
    UPDATE metering_archivedday SET status = 'DROPPED', dropped_at = at WHERE id = kept.id;
    RETURN true;
END $$;

CREATE FUNCTION restore_key_day(day date, at timestamptz) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET lock_timeout = '5s' AS $$
DECLARE kept uuid;
BEGIN
    SELECT id INTO kept FROM metering_archivedday a
        WHERE a.day = restore_key_day.day AND a.status = 'DROPPED' FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the calls of % were never dropped', day USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    PERFORM attach_key_day(day);
    UPDATE metering_archivedday SET status = 'RESTORED', restored_at = at WHERE id = kept;
END $$;

CREATE FUNCTION shared_key_ids(day date, other date) RETURNS SETOF uuid
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    one text := key_day_table(day);
    two text := key_day_table(other);
BEGIN
    IF to_regclass(one) IS NOT NULL AND to_regclass(two) IS NOT NULL THEN
        RETURN QUERY EXECUTE format('SELECT a.event_id FROM %I a JOIN %I b ON b.event_id = a.event_id', one, two);
    END IF;
END $$;

CREATE FUNCTION take_out_call_key(id uuid, at timestamptz) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE gone metering_callkey;
BEGIN
    SELECT * INTO gone FROM metering_callkey e WHERE e.event_id = take_out_call_key.id AND e.occurred_at = at;
    IF NOT FOUND OR NOT EXISTS (
        SELECT FROM metering_callkey e
        WHERE e.event_id = gone.event_id
            AND (e.occurred_at AT TIME ZONE 'UTC')::date <> (at AT TIME ZONE 'UTC')::date
            AND (e.received_at, e.occurred_at) < (gone.received_at, gone.occurred_at)
    ) THEN
        RAISE EXCEPTION 'there is no earlier call with that id' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NOT EXISTS (
        SELECT FROM metering_quarantinedrecord q JOIN audit_auditevent a
            ON a.target_type = 'QuarantinedRecord' AND a.target_id = q.id::text AND a.action = 'usage.taken_out'
        WHERE q.event_id = gone.event_id AND q.occurred_at = at AND q.doubt = 'OTHER_DAY'
    ) THEN
        RAISE EXCEPTION 'a call that is taken out is kept first' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    DELETE FROM metering_callkey e WHERE e.event_id = gone.event_id AND e.occurred_at = at;
END $$;
REVOKE ALL ON FUNCTION attach_key_day(date), make_key_day(date), drop_key_day(date, timestamptz),
    restore_key_day(date, timestamptz), shared_key_ids(date, date), take_out_call_key(uuid, timestamptz) FROM PUBLIC;

CREATE OR REPLACE FUNCTION archived_day_is_so() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.status = 'DROPPED') = (
        to_regclass(usage_day_table(NEW.day)) IS NOT NULL OR to_regclass(key_day_table(NEW.day)) IS NOT NULL
    ) THEN
        RAISE EXCEPTION 'the calls of % are not where it says', NEW.day USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
"""
BACKWARD = """
CREATE OR REPLACE FUNCTION archived_day_is_so() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.status = 'DROPPED') = (to_regclass(usage_day_table(NEW.day)) IS NOT NULL) THEN
        RAISE EXCEPTION 'the calls of % are not where it says', NEW.day USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
DROP FUNCTION take_out_call_key(uuid, timestamptz);
DROP FUNCTION shared_key_ids(date, date);
DROP FUNCTION restore_key_day(date, timestamptz);
DROP FUNCTION drop_key_day(date, timestamptz);
DROP FUNCTION key_day_fingerprint(date);
DROP FUNCTION make_key_day(date);
DROP FUNCTION attach_key_day(date);
DROP TABLE metering_callkey;
DROP FUNCTION key_day_table(date);
"""


class Migration(migrations.Migration):
    dependencies = [("metering", "0017_estimates_by_source")]
    operations = [
        migrations.RunSQL(
            FORWARD,
            BACKWARD,
            state_operations=[
                migrations.CreateModel(
                    name="CallKey",
                    fields=[
                        ("event_id", models.UUIDField(primary_key=True, serialize=False)),
                        ("occurred_at", models.DateTimeField()),
                        ("received_at", models.DateTimeField()),
                        ("hash", models.BigIntegerField()),
                    ],
                    options={
                        "indexes": [models.Index(fields=["occurred_at"], name="call_key_by_time")],
                    },
                ),
            ],
        ),
    ]
