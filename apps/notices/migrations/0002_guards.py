"""What was told, sent or removed stays so."""

from django.db import migrations

FORWARD = """
CREATE TRIGGER letter_steps BEFORE UPDATE ON notices_letter
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status)
    EXECUTE FUNCTION only_these_steps('WAITING>SENT', 'WAITING>FAILED', 'FAILED>WAITING');
CREATE TRIGGER call_steps BEFORE UPDATE ON notices_call
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status)
    EXECUTE FUNCTION only_these_steps('WAITING>SENT', 'WAITING>FAILED', 'FAILED>WAITING');
CREATE TRIGGER notice_read_once BEFORE UPDATE ON notices_notice
    FOR EACH ROW WHEN (OLD.read_at IS NOT NULL AND OLD.read_at IS DISTINCT FROM NEW.read_at)
    EXECUTE FUNCTION refused('a notice that was read stays read');
CREATE TRIGGER webhook_removed_once BEFORE UPDATE ON notices_webhook
    FOR EACH ROW WHEN (OLD.removed_at IS NOT NULL AND OLD IS DISTINCT FROM NEW)
    EXECUTE FUNCTION refused('a webhook that was removed never changes');
"""
BACKWARD = """
DROP TRIGGER webhook_removed_once ON notices_webhook;
DROP TRIGGER notice_read_once ON notices_notice;
DROP TRIGGER call_steps ON notices_call;
DROP TRIGGER letter_steps ON notices_letter;
"""


class Migration(migrations.Migration):
    dependencies = [("notices", "0001_initial"), ("audit", "0005_guards")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
