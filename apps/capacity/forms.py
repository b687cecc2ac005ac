"""What a person types when asking for a change of a pool. Parsing only; the rules are in
actions.py.
"""

from typing import Any

from django import forms

from apps.capacity import effect
from apps.capacity.actions import HIGHEST_CPU, HIGHEST_GPUS, HIGHEST_MEMORY_GIB, Wish
from apps.common.money import usd
from apps.fleet import prices
from apps.manifests.capacity import (
    MOST_BUDGETS,
    POLICIES,
    REASONS,
    BadCapacity,
    Budget,
    NodePool,
    check_budget,
)

SPOT_SHARES = {",".join(types): words for types, words in effect.SPOT_SHARES.items()}
EMPTY_BUDGETS = 2  # rows to write another budget in


class CapacityForm(forms.Form):
    """Limits, families, Spot share, consolidation. base: the revision that the page showed."""

    base = forms.IntegerField(widget=forms.HiddenInput)
    gpus = forms.IntegerField(
        label="GPUs at most",
        help_text="Over all nodes of the pool at once. 0 buys nothing more. Nodes that run are not "
        "removed by a limit.",
        min_value=0,
        max_value=HIGHEST_GPUS,
    )
    cpu = forms.IntegerField(
        label="vCPUs at most", min_value=0, max_value=HIGHEST_CPU, required=False
    )
    memory_gib = forms.IntegerField(
        label="Memory (GiB)", min_value=0, max_value=HIGHEST_MEMORY_GIB, required=False
    )
    families = forms.MultipleChoiceField(
        label="Instance families",
        help_text="Karpenter takes the cheapest machine of these that fits a replica and is to be "
        "had.",
        widget=forms.CheckboxSelectMultiple,
    )
    spot_share = forms.ChoiceField(
        label="Spot share",
        help_text="Karpenter keeps no percentage: it takes the cheapest type that it may buy and "
        "can have. AWS "
        "takes a Spot machine back with two minutes' notice.",
        choices=SPOT_SHARES.items(),
    )
    consolidation_policy = forms.ChoiceField(
        label="Consolidation",
        help_text="Moving a replica costs it a cold start; the budgets below limit how many at "
        "once, and when.",
        choices=[(name, effect.POLICY_WORDS[name]) for name in POLICIES],
    )
    consolidate_after = forms.CharField(
        label="After",
        help_text="How long a node may be idle first: 2m, 1h30m, or Never.",
        max_length=20,
    )
    justification = forms.CharField(
        label="Why?",
        help_text="Whoever decides reads this, and it is kept in the record and in the commit.",
        widget=forms.Textarea(attrs={"rows": 3}),
        min_length=10,
        max_length=2000,
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = [
            (name, f"{name}: {_family_words(items)}") for name, items in prices.families().items()
        ]
        field = self.fields["families"]
        if isinstance(field, forms.MultipleChoiceField):
            field.choices = choices

    def wish(self, budgets: tuple[Budget, ...]) -> Wish:
        """Return the wish. Call it after is_valid()."""
        values = self.cleaned_data
        return Wish(
            families=tuple(values["families"]),
            gpus=values["gpus"],
            cpu=values["cpu"],
            memory_gib=values["memory_gib"],
            capacity_types=tuple(values["spot_share"].split(",")),
            consolidation_policy=values["consolidation_policy"],
            consolidate_after=values["consolidate_after"],
            budgets=budgets,
        )


def _family_words(items: tuple[prices.InstanceType, ...]) -> str:
    listed = [item.usd_per_hour for item in items if item.usd_per_hour is not None]
    gpus = sorted({item.gpus for item in items})
    counts = f"{gpus[0]}" if len(gpus) == 1 else f"{gpus[0]} to {gpus[-1]}"
    price = f"from {usd(min(listed))} per hour" if listed else "no list price known"
    return f"{counts} × {items[0].gpu_name.upper()}, {price}"


class BudgetForm(forms.Form):
    """One disruption budget. A row without a number of nodes is left out."""

    nodes = forms.CharField(
        label="Nodes at once", help_text="2, or 10%. 0 forbids.", max_length=5, required=False
    )
    reasons = forms.MultipleChoiceField(
        label="For",
        choices=[(name, name) for name in REASONS],
        widget=forms.CheckboxSelectMultiple,
        required=False,
    )
    schedule = forms.CharField(
        label="From (cron, UTC)",
        help_text="0 12 * * mon-fri. Empty: always.",
        max_length=100,
        required=False,
    )
    duration = forms.CharField(
        label="For how long", help_text="8h, 90m, 1h30m.", max_length=20, required=False
    )

    def clean(self) -> dict[str, Any]:
        """Check the row as Karpenter would."""
        values = super().clean() or {}
        budget = budget_of(values)
        if budget is None:
            if any(values.get(name) for name in ("reasons", "schedule", "duration")):
                self.add_error("nodes", "Say how many nodes, or empty the whole row.")
            return values
        try:
            check_budget(budget)
        except BadCapacity as error:
            raise forms.ValidationError(str(error)) from error
        return values


def budget_of(values: dict[str, Any]) -> Budget | None:
    """Return the budget of a row's values; None for an empty row."""
    if not values.get("nodes"):
        return None
    chosen = values.get("reasons") or []
    return Budget(
        nodes=values["nodes"],
        reasons=tuple(name for name in chosen),
        schedule=" ".join(values.get("schedule", "").split()),
        duration=values.get("duration", ""),
    )


BudgetFormSet = forms.formset_factory(
    BudgetForm, extra=EMPTY_BUDGETS, max_num=MOST_BUDGETS, validate_max=True
)


def initial_of(pool: NodePool, base: int) -> dict[str, object]:
    """Return what the form shows for a pool as it is."""
    types = [name for name in ("spot", "on-demand") if name in pool.capacity_types]
    return {
        "base": base,
        "gpus": pool.gpus,
        "cpu": pool.cpu,
        "memory_gib": pool.memory_gib,
        "families": list(pool.families),
        "spot_share": ",".join(types),
        "consolidation_policy": pool.consolidation_policy,
        "consolidate_after": pool.consolidate_after,
    }


def initial_budgets_of(pool: NodePool) -> list[dict[str, object]]:
    """Return what the budgets' rows show for a pool as it is."""
    return [
        {
            "nodes": item.nodes,
            "reasons": list(item.reasons),
            "schedule": item.schedule,
            "duration": item.duration,
        }
        for item in pool.budgets
    ]
