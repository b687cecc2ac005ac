"""Hours that an objective may still look at are added up anew, so that what their callers met is known, too."""

from django.db import migrations

# as far as an objective's longest window reaches; a day that is in the archive alone stays there
FORWARD = """
INSERT INTO metering_dirtyhour (hour, marked_at)
SELECT DISTINCT hour, now() FROM metering_hourlyusage AS summed
WHERE hour > now() - interval '91 days' AND NOT EXISTS (
    SELECT FROM metering_archivedday AS archived
    WHERE archived.day = (summed.hour AT TIME ZONE 'UTC')::date AND archived.status = 'DROPPED')
ON CONFLICT (hour) DO NOTHING;
"""


class Migration(migrations.Migration):
    dependencies = [("metering", "0026_met_calls")]
    operations = [migrations.RunSQL(FORWARD, migrations.RunSQL.noop)]
