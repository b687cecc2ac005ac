"""A run has two sides, asks some or all packets, keeps what was answered, and its report."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

# it names a column that goes (0008 has the new one)
DROP = "DROP TRIGGER eval_run_result_kept ON evals_evalrun;"
BEFORE = """
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


class Migration(migrations.Migration):
    dependencies = [
        ("catalog", "0005_signature_digest"),
        ("evals", "0005_suite_guards"),
        ("accounts", "0001_initial"),
    ]
    operations = [
        migrations.RunSQL(DROP, BEFORE),
        migrations.CreateModel(
            name='EvalReport',
            fields=[
                ('run', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='kept_report', serialize=False, to='evals.evalrun')),
                ('content', models.BinaryField()),
            ],
        ),
        migrations.AlterModelOptions(
            name='evalpacketresult',
            options={'ordering': ('packet_id', '-side')},
        ),
        migrations.RemoveConstraint(
            model_name='evalpacketresult',
            name='packet_once_per_run',
        ),
        migrations.AddField(
            model_name='evalpacketresult',
            name='answer',
            field=models.TextField(blank=True, default=''),
        ),
        migrations.AddField(
            model_name='evalpacketresult',
            name='answered_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='evalpacketresult',
            name='problem',
            field=models.CharField(blank=True, default='', max_length=40),
        ),
        migrations.AddField(
            model_name='evalpacketresult',
            name='problem_words',
            field=models.CharField(blank=True, default='', max_length=300),
        ),
        migrations.AddField(
            model_name='evalpacketresult',
            name='score',
            field=models.JSONField(default=dict),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name='evalpacketresult',
            name='side',
            field=models.CharField(choices=[('CANDIDATE', 'Candidate'), ('BASELINE', 'Baseline')], default='CANDIDATE', max_length=16),
        ),
        migrations.AddField(
            model_name='evalrun',
            name='baseline',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='catalog.modelversion'),
        ),
        migrations.AddField(
            model_name='evalrun',
            name='baseline_engine',
            field=models.CharField(blank=True, default='', max_length=60),
        ),
        migrations.AddField(
            model_name='evalrun',
            name='baseline_metrics',
            field=models.JSONField(blank=True, default=dict),
        ),
        migrations.AddField(
            model_name='evalrun',
            name='baseline_settings',
            field=models.JSONField(blank=True, default=dict),
        ),
        migrations.AddField(
            model_name='evalrun',
            name='canceled_by',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='evalrun',
            name='concurrency',
            field=models.PositiveSmallIntegerField(default=4),
        ),
        migrations.AddField(
            model_name='evalrun',
            name='cost_limit_usd',
            field=models.DecimalField(blank=True, decimal_places=2, max_digits=10, null=True),
        ),
        migrations.AddField(
            model_name='evalrun',
            name='cost_usd',
            field=models.DecimalField(blank=True, decimal_places=4, max_digits=12, null=True),
        ),
        migrations.AddField(
            model_name='evalrun',
            name='judgement',
            field=models.JSONField(blank=True, default=dict),
        ),
        migrations.AddField(
            model_name='evalrun',
            name='machines',
            field=models.JSONField(blank=True, default=dict),
        ),
        migrations.AddField(
            model_name='evalrun',
            name='packets_total',
            field=models.PositiveIntegerField(default=0),
        ),
        migrations.AddField(
            model_name='evalrun',
            name='report_key',
            field=models.CharField(blank=True, default='', max_length=200),
        ),
        migrations.AddField(
            model_name='evalrun',
            name='serving_settings',
            field=models.JSONField(blank=True, default=dict),
        ),
        migrations.AddField(
            model_name='evalrun',
            name='stumbles',
            field=models.JSONField(blank=True, default=dict),
        ),
        migrations.AddField(
            model_name='evalrun',
            name='subset',
            field=models.CharField(blank=True, default='', max_length=40),
        ),
        migrations.AlterField(
            model_name='evalpacketresult',
            name='packet_id',
            field=models.CharField(max_length=60),
        ),
        migrations.AlterField(
            model_name='evalrun',
            name='status',
            field=models.CharField(choices=[('PENDING', 'Waiting'), ('STARTING', 'Starting the candidate'), ('RUNNING', 'Running'), ('PASSED', 'Passed'), ('FAILED', 'Below threshold'), ('ERROR', 'Error'), ('CANCELED', 'Canceled')], default='PENDING', max_length=16),
        ),
        migrations.AddConstraint(
            model_name='evalpacketresult',
            constraint=models.UniqueConstraint(fields=('run', 'side', 'packet_id'), name='packet_once_per_run_and_side'),
        ),
        migrations.AddConstraint(
            model_name='evalrun',
            constraint=models.CheckConstraint(condition=models.Q(('status', 'CANCELED'), ('canceled_by', None), _connector='XOR'), name='eval_run_canceled_by_somebody'),
        ),
        migrations.AddConstraint(
            model_name='evalrun',
            constraint=models.CheckConstraint(condition=models.Q(('baseline', None), models.Q(('baseline', models.F('model_version')), _negated=True), _connector='OR'), name='eval_run_not_against_itself'),
        ),
        migrations.AddConstraint(
            model_name='evalrun',
            constraint=models.CheckConstraint(condition=models.Q(('concurrency__gte', 1)), name='eval_run_asks_something'),
        ),
        migrations.AddConstraint(
            model_name='evalrun',
            constraint=models.CheckConstraint(condition=models.Q(('cost_limit_usd', None), ('cost_limit_usd__gt', 0), _connector='OR'), name='eval_run_cost_limit_is_some'),
        ),
    ]
