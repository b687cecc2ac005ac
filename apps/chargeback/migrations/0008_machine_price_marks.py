"""A price that is learned, or a contract that is set or ended, marks the days that it may change."""

from django.db import migrations

FORWARD = """
CREATE FUNCTION chargeback_mark_prices() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM mark_days(found.first, now(), true) FROM (
        SELECT MIN(active_from) AS first FROM rows
    ) AS found WHERE found.first IS NOT NULL;
    RETURN NULL;
END $$;
CREATE TRIGGER chargeback_marks_prices AFTER INSERT ON fleet_nodeprice
    REFERENCING NEW TABLE AS rows FOR EACH STATEMENT EXECUTE FUNCTION chargeback_mark_prices();
CREATE TRIGGER chargeback_marks_new_contracts AFTER INSERT ON fleet_priceoverride
    REFERENCING NEW TABLE AS rows FOR EACH STATEMENT EXECUTE FUNCTION chargeback_mark_prices();
CREATE TRIGGER chargeback_marks_ended_contracts AFTER UPDATE ON fleet_priceoverride
    REFERENCING NEW TABLE AS rows FOR EACH STATEMENT EXECUTE FUNCTION chargeback_mark_prices();
"""
BACKWARD = """
DROP TRIGGER chargeback_marks_ended_contracts ON fleet_priceoverride;
DROP TRIGGER chargeback_marks_new_contracts ON fleet_priceoverride;
DROP TRIGGER chargeback_marks_prices ON fleet_nodeprice;
DROP FUNCTION chargeback_mark_prices();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("chargeback", "0007_price_guards"),
        ("fleet", "0006_machine_prices"),
    ]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
