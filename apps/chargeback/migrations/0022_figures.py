"""Usage by the price list and shares of the machines' cost, one below the other, by day and by month."""

from django.db import migrations, models

COUNTS = (
    "metered_calls", "unmetered_calls", "refused_calls", "refused_401_calls", "refused_403_calls",
    "refused_404_calls", "refused_429_calls", "failed_calls", "input_tokens", "cached_input_tokens",
    "embedding_input_tokens", "output_tokens", "rerank_requests", "unpriced_tokens", "unpriced_requests",
)
VIEW = """
CREATE VIEW chargeback_{name}figure AS
    SELECT {name}, cost_center, team, model, version, 'WORK' AS kind, '' AS basis, '' AS gpu_name, {counts}, list_cost_usd,
        0::bigint AS shares, 0::numeric AS gpu_hours, 0::numeric AS unpriced_gpu_hours, NULL::numeric AS cost_usd
    FROM {lines}
    UNION ALL
    SELECT {period}, cost_center, team, model, version,
        CASE WHEN basis = 'EVALUATION' THEN 'EVALUATION' ELSE kind END, basis, gpu_name,
        {nothing}, NULL,
        1, gpu_hours, CASE WHEN is_priced THEN 0 ELSE gpu_hours END, cost_usd
    FROM {shares}
"""
BOTH = {
    "day": ("chargeback_dailyline", "day_id", "chargeback_allocation"),
    "month": ("chargeback_monthlyline", "month", "chargeback_monthlyallocation"),
}
OPERATIONS = [
    migrations.RunSQL(
        VIEW.format(
            name=name, lines=lines, period=period, shares=shares, counts=", ".join(COUNTS),
            nothing=", ".join("0" for _ in COUNTS),
        ),
        f"DROP VIEW chargeback_{name}figure",
    )
    for name, (lines, period, shares) in BOTH.items()
]


class Migration(migrations.Migration):
    dependencies = [("chargeback", "0021_units")]
    operations = [
        *OPERATIONS,
        migrations.CreateModel(
            name='DayFigure',
            fields=[
                ('cost_center', models.CharField(blank=True, default='', max_length=32)),
                ('team', models.CharField(blank=True, default='', max_length=63)),
                ('model', models.CharField(blank=True, default='', max_length=40)),
                ('version', models.CharField(blank=True, default='', max_length=63)),
                ('kind', models.CharField(max_length=12)),
                ('basis', models.CharField(max_length=12)),
                ('gpu_name', models.CharField(max_length=32)),
                ('metered_calls', models.BigIntegerField()),
                ('unmetered_calls', models.BigIntegerField()),
                ('refused_calls', models.BigIntegerField()),
                ('refused_401_calls', models.BigIntegerField()),
                ('refused_403_calls', models.BigIntegerField()),
                ('refused_404_calls', models.BigIntegerField()),
                ('refused_429_calls', models.BigIntegerField()),
                ('failed_calls', models.BigIntegerField()),
                ('input_tokens', models.BigIntegerField()),
                ('cached_input_tokens', models.BigIntegerField()),
                ('embedding_input_tokens', models.BigIntegerField()),
                ('output_tokens', models.BigIntegerField()),
                ('rerank_requests', models.BigIntegerField()),
                ('unpriced_tokens', models.BigIntegerField()),
                ('unpriced_requests', models.BigIntegerField()),
                ('list_cost_usd', models.DecimalField(decimal_places=16, max_digits=30, null=True)),
                ('shares', models.BigIntegerField()),
                ('gpu_hours', models.DecimalField(decimal_places=12, max_digits=30)),
                ('unpriced_gpu_hours', models.DecimalField(decimal_places=12, max_digits=30)),
                ('cost_usd', models.DecimalField(decimal_places=12, max_digits=30, null=True)),
                ('day', models.DateField(primary_key=True, serialize=False)),
            ],
            options={
                'db_table': 'chargeback_dayfigure',
                'managed': False,
            },
        ),
        migrations.CreateModel(
            name='MonthFigure',
            fields=[
                ('cost_center', models.CharField(blank=True, default='', max_length=32)),
                ('team', models.CharField(blank=True, default='', max_length=63)),
                ('model', models.CharField(blank=True, default='', max_length=40)),
                ('version', models.CharField(blank=True, default='', max_length=63)),
                ('kind', models.CharField(max_length=12)),
                ('basis', models.CharField(max_length=12)),
                ('gpu_name', models.CharField(max_length=32)),
                ('metered_calls', models.BigIntegerField()),
                ('unmetered_calls', models.BigIntegerField()),
                ('refused_calls', models.BigIntegerField()),
                ('refused_401_calls', models.BigIntegerField()),
                ('refused_403_calls', models.BigIntegerField()),
                ('refused_404_calls', models.BigIntegerField()),
                ('refused_429_calls', models.BigIntegerField()),
                ('failed_calls', models.BigIntegerField()),
                ('input_tokens', models.BigIntegerField()),
                ('cached_input_tokens', models.BigIntegerField()),
                ('embedding_input_tokens', models.BigIntegerField()),
                ('output_tokens', models.BigIntegerField()),
                ('rerank_requests', models.BigIntegerField()),
                ('unpriced_tokens', models.BigIntegerField()),
                ('unpriced_requests', models.BigIntegerField()),
                ('list_cost_usd', models.DecimalField(decimal_places=16, max_digits=30, null=True)),
                ('shares', models.BigIntegerField()),
                ('gpu_hours', models.DecimalField(decimal_places=12, max_digits=30)),
                ('unpriced_gpu_hours', models.DecimalField(decimal_places=12, max_digits=30)),
                ('cost_usd', models.DecimalField(decimal_places=12, max_digits=30, null=True)),
                ('month', models.DateField(primary_key=True, serialize=False)),
            ],
            options={
                'db_table': 'chargeback_monthfigure',
                'managed': False,
            },
        ),
    ]
