"""A day is priced anew, never changed, and marked for it in the transaction that changes its hours."""

from django.db import migrations

FORWARD = """
CREATE TRIGGER spend_never_changes BEFORE UPDATE ON chargeback_spend
    FOR EACH ROW EXECUTE FUNCTION refused('the spend of a day is computed anew, never changed');
CREATE TRIGGER daily_line_never_changes BEFORE UPDATE ON chargeback_dailyline
    FOR EACH ROW EXECUTE FUNCTION refused('the line of a day is computed anew, never changed');
CREATE TRIGGER monthly_line_never_changes BEFORE UPDATE ON chargeback_monthlyline
    FOR EACH ROW EXECUTE FUNCTION refused('the line of a month is computed anew, never changed');

CREATE FUNCTION chargeback_mark_dirty_days() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO chargeback_dirtyday (day, marked_at)
    SELECT DISTINCT (hour AT TIME ZONE 'UTC')::date AS day, now() FROM rows ORDER BY day
    ON CONFLICT (day) DO UPDATE SET marked_at = EXCLUDED.marked_at;
    RETURN NULL;
END $$;
CREATE TRIGGER chargeback_prices_new_hours AFTER INSERT ON metering_hourlyusage
    REFERENCING NEW TABLE AS rows FOR EACH STATEMENT EXECUTE FUNCTION chargeback_mark_dirty_days();
CREATE TRIGGER chargeback_prices_old_hours AFTER DELETE ON metering_hourlyusage
    REFERENCING OLD TABLE AS rows FOR EACH STATEMENT EXECUTE FUNCTION chargeback_mark_dirty_days();
INSERT INTO chargeback_dirtyday (day, marked_at)
    SELECT DISTINCT (hour AT TIME ZONE 'UTC')::date, now() FROM metering_hourlyusage;
"""
BACKWARD = """
DROP TRIGGER chargeback_prices_old_hours ON metering_hourlyusage;
DROP TRIGGER chargeback_prices_new_hours ON metering_hourlyusage;
DROP FUNCTION chargeback_mark_dirty_days();
DROP TRIGGER monthly_line_never_changes ON chargeback_monthlyline;
DROP TRIGGER daily_line_never_changes ON chargeback_dailyline;
DROP TRIGGER spend_never_changes ON chargeback_spend;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("chargeback", "0009_spend"),
        ("audit", "0005_guards"),
        ("metering", "0006_guards"),
    ]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
