"""An evidence pack is asked for, made once, and never changes or goes away afterwards."""

from django.db import migrations

FORWARD = """
CREATE TRIGGER evidence_pack_steps BEFORE UPDATE ON oversight_evidencepack
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status)
    EXECUTE FUNCTION only_these_steps('WAITING>MADE', 'WAITING>FAILED', 'FAILED>WAITING');
CREATE TRIGGER evidence_pack_begins_waiting BEFORE INSERT ON oversight_evidencepack
    FOR EACH ROW WHEN (NEW.status <> 'WAITING')
    EXECUTE FUNCTION refused('an evidence pack is asked for first');
CREATE TRIGGER evidence_pack_made_once BEFORE UPDATE ON oversight_evidencepack
    FOR EACH ROW WHEN (OLD.status = 'MADE' AND OLD IS DISTINCT FROM NEW)
    EXECUTE FUNCTION refused('an evidence pack never changes');
CREATE TRIGGER evidence_pack_of_one_thing BEFORE UPDATE ON oversight_evidencepack
    FOR EACH ROW WHEN ((OLD.kind, OLD.promotion_id, OLD.month, OLD.asked_by_id, OLD.asked_at)
                       IS DISTINCT FROM
                       (NEW.kind, NEW.promotion_id, NEW.month, NEW.asked_by_id, NEW.asked_at))
    EXECUTE FUNCTION refused('an evidence pack never changes what it is about');
CREATE TRIGGER evidence_pack_never_deleted BEFORE DELETE ON oversight_evidencepack
    FOR EACH ROW EXECUTE FUNCTION refused('an evidence pack stays in the record');
"""
BACKWARD = """
DROP TRIGGER evidence_pack_never_deleted ON oversight_evidencepack;
DROP TRIGGER evidence_pack_of_one_thing ON oversight_evidencepack;
DROP TRIGGER evidence_pack_made_once ON oversight_evidencepack;
DROP TRIGGER evidence_pack_begins_waiting ON oversight_evidencepack;
DROP TRIGGER evidence_pack_steps ON oversight_evidencepack;
"""


class Migration(migrations.Migration):
    dependencies = [("oversight", "0001_initial"), ("audit", "0005_guards")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
