"""A call is taken out only where its id is that of an earlier call of another day, and only after it is kept in
quarantine and its taking out is in the record. Nothing else takes a call out of its day.
"""

from django.conf import settings
from django.db import migrations, models


FORWARD = """
CREATE FUNCTION take_out_usage_event(id uuid, at timestamptz) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    gone metering_usageevent;
    kept uuid;
BEGIN
    SELECT * INTO gone FROM metering_usageevent e WHERE e.event_id = take_out_usage_event.id AND e.occurred_at = at;
    IF NOT FOUND OR NOT EXISTS (
        SELECT FROM metering_usageevent e
        WHERE e.event_id = gone.event_id
            AND (e.occurred_at AT TIME ZONE 'UTC')::date <> (at AT TIME ZONE 'UTC')::date
            AND (e.received_at, e.occurred_at) < (gone.received_at, gone.occurred_at)
    ) THEN
        RAISE EXCEPTION 'there is no earlier call with that id' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    SELECT q.id INTO kept FROM metering_quarantinedrecord q
        WHERE q.event_id = gone.event_id AND q.occurred_at = at AND q.doubt = 'OTHER_DAY' LIMIT 1;
    IF kept IS NULL OR NOT EXISTS (
        SELECT FROM audit_auditevent a WHERE a.target_type = 'QuarantinedRecord' AND a.target_id = kept::text
            AND a.action = 'usage.taken_out'
    ) THEN
        RAISE EXCEPTION 'a call that is taken out is kept first' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    DELETE FROM metering_usageevent e WHERE e.event_id = gone.event_id AND e.occurred_at = at;
END $$;
REVOKE ALL ON FUNCTION take_out_usage_event(uuid, timestamptz) FROM PUBLIC;
"""
BACKWARD = "DROP FUNCTION take_out_usage_event(uuid, timestamptz);"


class Migration(migrations.Migration):

    dependencies = [
        ('metering', '0010_archive_guards'),
        ('audit', '0005_guards'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='CheckedDay',
            fields=[
                ('day', models.DateField(primary_key=True, serialize=False)),
                ('checked_at', models.DateTimeField()),
            ],
        ),
        migrations.AddIndex(
            model_name='quarantinedrecord',
            index=models.Index(condition=models.Q(('doubt', 'OTHER_DAY')), fields=['event_id'], name='quarantine_taken_out'),
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
    ]
