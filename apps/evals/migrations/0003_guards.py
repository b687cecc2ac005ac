"""The steps of an evaluation run; what it found never changes afterwards."""

from django.db import migrations

FORWARD = """
CREATE TRIGGER eval_run_steps BEFORE UPDATE ON evals_evalrun
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status)
    EXECUTE FUNCTION only_these_steps(
        'PENDING>STARTING', 'STARTING>RUNNING', 'RUNNING>PASSED', 'RUNNING>FAILED',
        'PENDING>ERROR', 'STARTING>ERROR', 'RUNNING>ERROR');
CREATE TRIGGER eval_run_result_kept BEFORE UPDATE ON evals_evalrun
    FOR EACH ROW WHEN (
        OLD.status IN ('PASSED', 'FAILED', 'ERROR')
        AND ROW(OLD.finished_at, OLD.metrics, OLD.report_digest, OLD.engine, OLD.instance_type, OLD.serving_at,
                OLD.baseline_run_id)
            IS DISTINCT FROM
            ROW(NEW.finished_at, NEW.metrics, NEW.report_digest, NEW.engine, NEW.instance_type, NEW.serving_at,
                NEW.baseline_run_id))
    EXECUTE FUNCTION refused('what an evaluation found never changes');
"""
BACKWARD = """
DROP TRIGGER eval_run_steps ON evals_evalrun;
DROP TRIGGER eval_run_result_kept ON evals_evalrun;
"""


class Migration(migrations.Migration):
    dependencies = [("evals", "0002_baseline_run"), ("audit", "0005_guards")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
