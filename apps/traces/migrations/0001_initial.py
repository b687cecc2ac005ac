"""Spans in a ring of hours: one partition for each of 32 slots, made once and for good.

drop_old_spans empties the slots whose hours are over: TRUNCATE costs the same however many rows there were, and leaves
nothing to vacuum. An hour that is kept, and the one that comes, are never touched; a slot that is empty is not locked.
"""

from django.db import migrations, models

SLOTS = 32
FORWARD = f"""
CREATE TABLE traces_span (
    id varchar(48) NOT NULL,
    slot smallint NOT NULL,
    trace_id varchar(32) NOT NULL,
    parent_id varchar(16) NOT NULL,
    request_id uuid NULL,
    service varchar(63) NOT NULL,
    name varchar(120) NOT NULL,
    started_at timestamptz NOT NULL,
    duration_us bigint NOT NULL,
    failed boolean NOT NULL,
    facts jsonb NOT NULL,
    PRIMARY KEY (id, slot),
    CONSTRAINT span_slot_is_of_the_ring CHECK (slot >= 0 AND slot < {SLOTS}),
    CONSTRAINT span_ends_after_its_start CHECK (duration_us >= 0)
) PARTITION BY LIST (slot);
CREATE INDEX span_by_trace ON traces_span (trace_id);
CREATE INDEX span_by_request ON traces_span (request_id) WHERE request_id IS NOT NULL;
DO $$
BEGIN
    FOR number IN 0..{SLOTS - 1} LOOP
        EXECUTE format('CREATE TABLE %I PARTITION OF traces_span FOR VALUES IN (%s)', 'traces_span_' || number, number);
    END LOOP;
END $$;

CREATE FUNCTION drop_old_spans() RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET lock_timeout = '5s' AS $$
DECLARE
    current bigint := floor(extract(epoch FROM clock_timestamp()) / 3600);
    has_rows boolean;
    dropped integer := 0;
BEGIN
    -- from the hour after the next to the one before those that are kept
    FOR hour IN current + 2 .. current + {SLOTS} - 25 LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM %I)', 'traces_span_' || hour % {SLOTS}) INTO has_rows;
        IF has_rows THEN
            EXECUTE format('TRUNCATE %I', 'traces_span_' || hour % {SLOTS});
            dropped := dropped + 1;
        END IF;
    END LOOP;
    RETURN dropped;
END $$;
REVOKE ALL ON FUNCTION drop_old_spans() FROM PUBLIC;
"""
BACKWARD = """
DROP FUNCTION drop_old_spans();
DROP TABLE traces_span;
"""


class Migration(migrations.Migration):
    initial = True
    dependencies = []
    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(FORWARD, BACKWARD)],
            state_operations=[
                migrations.CreateModel(
                    name="Span",
                    fields=[
                        ("id", models.CharField(max_length=48, primary_key=True, serialize=False)),
                        ("slot", models.PositiveSmallIntegerField()),
                        ("trace_id", models.CharField(max_length=32)),
                        ("parent_id", models.CharField(blank=True, default="", max_length=16)),
                        ("request_id", models.UUIDField(blank=True, null=True)),
                        ("service", models.CharField(max_length=63)),
                        ("name", models.CharField(max_length=120)),
                        ("started_at", models.DateTimeField()),
                        ("duration_us", models.BigIntegerField()),
                        ("failed", models.BooleanField(default=False)),
                        ("facts", models.JSONField(default=dict)),
                    ],
                    options={
                        "indexes": [
                            models.Index(fields=["trace_id"], name="span_by_trace"),
                            models.Index(
                                condition=models.Q(("request_id__isnull", False)),
                                fields=["request_id"],
                                name="span_by_request",
                            ),
                        ],
                        "constraints": [
                            models.CheckConstraint(condition=models.Q(("slot__lt", 32)), name="span_slot_is_of_the_ring"),
                            models.CheckConstraint(
                                condition=models.Q(("duration_us__gte", 0)), name="span_ends_after_its_start"
                            ),
                        ],
                    },
                ),
            ],
        )
    ]
