"""A usage event is a fact: a trigger refuses to change it. Deleting stays possible: retention will need it."""

from django.db import migrations

FORWARD = """
CREATE FUNCTION usage_event_is_immutable() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'usage events are immutable' USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER usage_event_no_change BEFORE UPDATE ON metering_usageevent
    FOR EACH ROW EXECUTE FUNCTION usage_event_is_immutable();
"""
BACKWARD = "DROP TRIGGER usage_event_no_change ON metering_usageevent; DROP FUNCTION usage_event_is_immutable();"


class Migration(migrations.Migration):
    dependencies = [("metering", "0001_initial")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
