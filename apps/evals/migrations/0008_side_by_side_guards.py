"""The steps of a run, with the one that ends it by hand; what it was asked and found never changes;
nor does what was answered, or its report.
"""

from django.db import migrations

FORWARD = """
DROP TRIGGER eval_run_steps ON evals_evalrun;
CREATE TRIGGER eval_run_steps BEFORE UPDATE ON evals_evalrun
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status)
    EXECUTE FUNCTION only_these_steps(
        'PENDING>STARTING', 'STARTING>RUNNING', 'RUNNING>PASSED', 'RUNNING>FAILED',
        'PENDING>ERROR', 'STARTING>ERROR', 'RUNNING>ERROR',
        'PENDING>CANCELED', 'STARTING>CANCELED', 'RUNNING>CANCELED');
CREATE TRIGGER eval_run_result_kept BEFORE UPDATE ON evals_evalrun
    FOR EACH ROW WHEN (
        OLD.status IN ('PASSED', 'FAILED', 'ERROR', 'CANCELED')
        AND ROW(OLD.finished_at, OLD.metrics, OLD.baseline_metrics, OLD.judgement, OLD.cost_usd, OLD.report_digest,
                OLD.engine, OLD.baseline_engine, OLD.instance_type, OLD.machines, OLD.serving_at, OLD.canceled_by_id)
            IS DISTINCT FROM
            ROW(NEW.finished_at, NEW.metrics, NEW.baseline_metrics, NEW.judgement, NEW.cost_usd, NEW.report_digest,
                NEW.engine, NEW.baseline_engine, NEW.instance_type, NEW.machines, NEW.serving_at, NEW.canceled_by_id))
    EXECUTE FUNCTION refused('what an evaluation found never changes');
CREATE TRIGGER eval_run_question_kept BEFORE UPDATE ON evals_evalrun
    FOR EACH ROW WHEN (
        ROW(OLD.suite_id, OLD.model_version_id, OLD.baseline_id, OLD.subset, OLD.requested_by_id)
        IS DISTINCT FROM
        ROW(NEW.suite_id, NEW.model_version_id, NEW.baseline_id, NEW.subset, NEW.requested_by_id))
    EXECUTE FUNCTION refused('what an evaluation was asked never changes');
CREATE TRIGGER eval_report_kept BEFORE UPDATE OR DELETE ON evals_evalreport
    FOR EACH ROW EXECUTE FUNCTION refused('a report never changes');
CREATE TRIGGER eval_packet_result_kept BEFORE UPDATE OR DELETE ON evals_evalpacketresult
    FOR EACH ROW EXECUTE FUNCTION refused('what was answered never changes');
"""
BACKWARD = """
DROP TRIGGER eval_run_steps ON evals_evalrun;
CREATE TRIGGER eval_run_steps BEFORE UPDATE ON evals_evalrun
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status)
    EXECUTE FUNCTION only_these_steps(
        'PENDING>STARTING', 'STARTING>RUNNING', 'RUNNING>PASSED', 'RUNNING>FAILED',
        'PENDING>ERROR', 'STARTING>ERROR', 'RUNNING>ERROR');
DROP TRIGGER eval_run_result_kept ON evals_evalrun;
DROP TRIGGER eval_run_question_kept ON evals_evalrun;
DROP TRIGGER eval_report_kept ON evals_evalreport;
DROP TRIGGER eval_packet_result_kept ON evals_evalpacketresult;
"""


class Migration(migrations.Migration):
    dependencies = [("evals", "0007_earlier_runs")]
    operations = [
        migrations.RemoveField(
            model_name='evalpacketresult',
            name='expected',
        ),
        migrations.RemoveField(
            model_name='evalpacketresult',
            name='grounded',
        ),
        migrations.RemoveField(
            model_name='evalpacketresult',
            name='latency_ms',
        ),
        migrations.RemoveField(
            model_name='evalpacketresult',
            name='output_tokens',
        ),
        migrations.RemoveField(
            model_name='evalpacketresult',
            name='predicted',
        ),
        migrations.RemoveField(
            model_name='evalpacketresult',
            name='ttft_ms',
        ),
        migrations.RemoveField(
            model_name='evalrun',
            name='baseline_run',
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
    ]
