"""A statement's PDF is asked for, made once, and never changes or goes away afterwards. Statements that were issued
before there were any are asked for now."""

from django.db import migrations

FORWARD = """
CREATE TRIGGER statement_document_steps BEFORE UPDATE ON chargeback_statementdocument
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status)
    EXECUTE FUNCTION only_these_steps('WAITING>MADE', 'WAITING>FAILED', 'FAILED>WAITING');
CREATE TRIGGER statement_document_begins_waiting BEFORE INSERT ON chargeback_statementdocument
    FOR EACH ROW WHEN (NEW.status <> 'WAITING')
    EXECUTE FUNCTION refused('the PDF of a statement is asked for first');
CREATE TRIGGER statement_document_made_once BEFORE UPDATE ON chargeback_statementdocument
    FOR EACH ROW WHEN (OLD.status = 'MADE' AND OLD IS DISTINCT FROM NEW)
    EXECUTE FUNCTION refused('the PDF of a statement never changes');
CREATE TRIGGER statement_document_of_one_statement BEFORE UPDATE ON chargeback_statementdocument
    FOR EACH ROW WHEN (OLD.statement_id <> NEW.statement_id)
    EXECUTE FUNCTION refused('the PDF of a statement never changes');
CREATE TRIGGER statement_document_never_deleted BEFORE DELETE ON chargeback_statementdocument
    FOR EACH ROW EXECUTE FUNCTION refused('the PDF of a statement stays in the record');

INSERT INTO chargeback_statementdocument (statement_id, status, asked_at, object_key, version_id, sha256,
    next_check_at, attempts, generation, observed_generation, reason, message)
SELECT id, 'WAITING', now(), '', '', '', now(), 0, 1, 0, '', '' FROM chargeback_statement;
"""
BACKWARD = """
DROP TRIGGER statement_document_never_deleted ON chargeback_statementdocument;
DROP TRIGGER statement_document_of_one_statement ON chargeback_statementdocument;
DROP TRIGGER statement_document_made_once ON chargeback_statementdocument;
DROP TRIGGER statement_document_begins_waiting ON chargeback_statementdocument;
DROP TRIGGER statement_document_steps ON chargeback_statementdocument;
"""


class Migration(migrations.Migration):
    dependencies = [("chargeback", "0019_statement_documents"), ("audit", "0005_guards")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
