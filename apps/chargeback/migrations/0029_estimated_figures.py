"""Figures tell what is estimated of calls without usage, too."""

from django.db import migrations

# the columns of 0022, and behind them the new ones: a view can only grow at its end
COUNTS = (
    "metered_calls", "unmetered_calls", "refused_calls", "refused_401_calls", "refused_403_calls",
    "refused_404_calls", "refused_429_calls", "failed_calls", "input_tokens", "cached_input_tokens",
    "embedding_input_tokens", "output_tokens", "rerank_requests", "unpriced_tokens", "unpriced_requests",
)
ESTIMATED = ("estimated_calls", "estimated_input_tokens", "estimated_output_tokens", "estimated_cost_usd")
VIEW = """
CREATE OR REPLACE VIEW chargeback_{name}figure AS
    SELECT {name}, cost_center, team, model, version, 'WORK' AS kind, '' AS basis, '' AS gpu_name, {counts}, list_cost_usd,
        0::bigint AS shares, 0::numeric AS gpu_hours, 0::numeric AS unpriced_gpu_hours, NULL::numeric AS cost_usd{estimated}
    FROM {lines}
    UNION ALL
    SELECT {period}, cost_center, team, model, version,
        CASE WHEN basis = 'EVALUATION' THEN 'EVALUATION' ELSE kind END, basis, gpu_name,
        {nothing}, NULL,
        1, gpu_hours, CASE WHEN is_priced THEN 0 ELSE gpu_hours END, cost_usd{none}
    FROM {shares}
"""
BOTH = {
    "day": ("chargeback_dailyline", "day_id", "chargeback_allocation"),
    "month": ("chargeback_monthlyline", "month", "chargeback_monthlyallocation"),
}


def _view(name: str, *, estimated: tuple[str, ...]) -> str:
    lines, period, shares = BOTH[name]
    return VIEW.format(
        name=name, lines=lines, period=period, shares=shares, counts=", ".join(COUNTS),
        nothing=", ".join("0" for _ in COUNTS), estimated="".join(f", {one}" for one in estimated),
        none=", 0" * len(estimated),
    )


OPERATIONS = [
    migrations.RunSQL(
        _view(name, estimated=ESTIMATED),
        f"DROP VIEW chargeback_{name}figure; {_view(name, estimated=())}",
    )
    for name in BOTH
]


class Migration(migrations.Migration):
    dependencies = [("chargeback", "0028_closed_machine_guards")]
    operations = OPERATIONS
