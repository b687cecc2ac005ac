"""A letter that nobody needs any more is dropped."""

from django.db import migrations

STEPS = """
DROP TRIGGER letter_steps ON notices_letter;
CREATE TRIGGER letter_steps BEFORE UPDATE ON notices_letter
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status)
    EXECUTE FUNCTION only_these_steps({});
"""
FORWARD = STEPS.format("'WAITING>SENT', 'WAITING>FAILED', 'WAITING>DROPPED'")
BACKWARD = STEPS.format("'WAITING>SENT', 'WAITING>FAILED', 'FAILED>WAITING'")


class Migration(migrations.Migration):
    dependencies = [("notices", "0003_renewed_secrets")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
