"""A settled call keeps what its gate counted, so that the ledger can take it in where its line of the access log never
comes. The turn is the one before (0015) with one more argument: s_told, an object for each call that is settled.
"""

from importlib import import_module

from django.db import migrations, models

before = import_module("apps.access.migrations.0015_purse_turn")
CHANGES = (
    ("s_counts boolean[],", "s_counts boolean[], s_told jsonb[],"),
    (
        "(call_id, occurred_at, settled_at, cost_center, team, model, usd, tokens)",
        "(call_id, occurred_at, settled_at, cost_center, team, model, usd, tokens, operation, basis, completeness,\n"
        "                input_tokens, cached_input_tokens, output_tokens)",
    ),
    (
        "s.cost_center, s.team, s.model, s.usd, s.tokens\n",
        "s.cost_center, s.team, s.model, s.usd, s.tokens,\n"
        "                COALESCE(s.told->>'operation', ''), COALESCE(s.told->>'basis', ''),\n"
        "                COALESCE(s.told->>'completeness', ''), (s.told->>'input_tokens')::bigint,\n"
        "                (s.told->>'cached_input_tokens')::bigint, (s.told->>'output_tokens')::bigint\n",
    ),
    (
        "s_usd, s_tokens, s_counts)\n                s (id, at, cost_center, team, model, usd, tokens, counts)",
        "s_usd, s_tokens, s_counts, s_told)\n"
        "                s (id, at, cost_center, team, model, usd, tokens, counts, told)",
    ),
)


def _turn() -> str:
    """Return the function with the argument."""
    text: str = before.TURN
    for old, new in CHANGES:
        if text.count(old) != 1:
            raise ValueError(f"the turn has {text.count(old)} of {old!r}")
        text = text.replace(old, new)
    return text


BACK = before.TURN_BACK.replace("boolean[], uuid[]", "boolean[], jsonb[], uuid[]")


class Migration(migrations.Migration):
    dependencies = [("access", "0015_purse_turn")]
    operations = [
        *(
            migrations.AddField("settledcall", name, models.BigIntegerField(null=True, blank=True))
            for name in ("input_tokens", "cached_input_tokens", "output_tokens")
        ),
        *(
            migrations.AddField("settledcall", name, models.CharField(max_length=length, blank=True, default=""))
            for name, length in (("operation", 10), ("basis", 10), ("completeness", 12))
        ),
        migrations.RunSQL(before.TURN_BACK + _turn(), BACK + before.TURN),
    ]
