"""A decision takes two people, not only two accounts."""

from django.db import migrations

TABLES = ("chargeback_pricechange", "chargeback_monthclose")
FORWARD = "".join(
    f"""
    CREATE TRIGGER {table}_two_people BEFORE INSERT OR UPDATE ON {table}
        FOR EACH ROW WHEN (NEW.decided_by_id IS NOT NULL AND NEW.status <> 'WITHDRAWN')
        EXECUTE FUNCTION takes_two_people('requested_by_id', 'decided_by_id');
    """
    for table in TABLES
)
BACKWARD = "".join(f"DROP TRIGGER {table}_two_people ON {table};" for table in TABLES)


class Migration(migrations.Migration):
    dependencies = [("chargeback", "0025_estimates"), ("accounts", "0004_two_people")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
