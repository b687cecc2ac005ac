"""What a person types when asking for a change of a pool. Parsing only; the rules are in
actions.py.
"""

from typing import Any

from django import forms
from django.utils.timezone import now

from apps.capacity import effect
from apps.capacity.actions import HIGHEST_CPU, HIGHEST_GPUS, HIGHEST_MEMORY_GIB, Wish
from apps.capacity.fields import NEVER, LengthField, ahead_of_utc
from apps.common.money import about_usd, unit_price
from apps.common.periods import HOURS_PER_MONTH
from apps.common.zones import ZONES
from apps.fleet import prices
from apps.manifests import durations, schedules
from apps.manifests.capacity import (
    CAPACITY_TYPES,
    MOST_BUDGETS,
    POLICIES,
    REASONS,
    BadCapacity,
    Budget,
    NodePool,
    check_budget,
)

SPOT_SHARES = {",".join(types): words for types, words in effect.SPOT_SHARES.items()}
DAYS = [
    ("1", "Mon"),
    ("2", "Tue"),
    ("3", "Wed"),
    ("4", "Thu"),
    ("5", "Fri"),
    ("6", "Sat"),
    ("0", "Sun"),
]
EMPTY_BUDGETS = 2  # rows to write another budget in


class CapacityForm(forms.Form):
    """Limits, families, Spot share, consolidation. base: the revision that the page showed."""

    base = forms.IntegerField(widget=forms.HiddenInput)
    gpus = forms.IntegerField(
        label="GPUs at most",
        help_text="Across all nodes of the pool. With 0 it buys nothing more. A limit never "
        "removes nodes that run.",
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
        help_text="Karpenter takes the cheapest available machine of these that fits a replica.",
        widget=forms.CheckboxSelectMultiple,
    )
    spot_share = forms.ChoiceField(
        label="Spot share",
        help_text="Karpenter aims at no percentage: it takes the cheapest available type that it "
        "may buy. AWS takes a Spot machine back with two minutes' notice.",
        choices=SPOT_SHARES.items(),
    )
    consolidation_policy = forms.ChoiceField(
        label="Consolidation",
        help_text="Moving a replica costs it a cold start; the budgets below limit how many at "
        "once, and when.",
        choices=[(name, effect.POLICY_WORDS[name]) for name in POLICIES],
    )
    consolidate_after = LengthField(
        label="After",
        help_text="How long a node must be idle or poorly used first. Never: Karpenter keeps it.",
        units=("m", "s", "h", NEVER),
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

    def clean_consolidate_after(self) -> str:
        """Return the length; as the pool's file spells it where it is the same."""
        before = str(self.initial.get("consolidate_after") or "")
        return durations.kept(before, self.cleaned_data["consolidate_after"])

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
    price = "no list price known"
    if listed:
        month = about_usd(min(listed) * HOURS_PER_MONTH)
        price = f"from {unit_price(min(listed))} per hour, {month} per month"
    return f"{counts} × {items[0].gpu_name.upper()}, {price}"


class BudgetForm(forms.Form):
    """One disruption budget, always in force or in a window: days of the week, a time, a length.

    A row without a number of nodes is left out. Karpenter keeps the window as a schedule in UTC;
    one that is no time on days of the week is written as such in `schedule`.
    """

    nodes = forms.CharField(
        label="Nodes at once",
        help_text="A number such as 2, or a share such as 10%. With 0, none is taken away.",
        max_length=5,
        required=False,
    )
    reasons = forms.MultipleChoiceField(
        label="For",
        choices=[(name, name) for name in REASONS],
        widget=forms.CheckboxSelectMultiple,
        required=False,
    )
    days = forms.MultipleChoiceField(
        label="On these days",
        choices=DAYS,
        widget=forms.CheckboxSelectMultiple,
        required=False,
    )
    start = forms.TimeField(
        label="From",
        help_text="Empty: always in force.",
        widget=forms.TimeInput(attrs={"type": "time"}, format="%H:%M"),
        required=False,
    )
    zone = forms.ChoiceField(
        label="Time zone",
        help_text="Karpenter counts in UTC: when the clocks change, these hours move.",
        choices=list(ZONES.items()),
        initial="UTC",
        required=False,
    )
    duration = LengthField(label="For how long", units=("h", "m"), required=False)
    schedule = forms.CharField(
        label="Or a cron schedule, in UTC",
        help_text="Five fields, such as 0 12 1 * *. Leave days and time empty then.",
        max_length=100,
        required=False,
    )

    def clean(self) -> dict[str, Any]:
        """Check the row as Karpenter would; `schedule` is then what Karpenter keeps."""
        values = super().clean() or {}
        if self.errors:
            return values
        if self._is_half_filled(values):
            return values
        values["schedule"] = self._schedule(values)
        values["duration"] = durations.kept(
            str(self.initial.get("duration") or ""), values.get("duration") or ""
        )
        budget = budget_of(values)
        try:
            if budget is not None:
                check_budget(budget)
        except BadCapacity as error:
            raise forms.ValidationError(str(error)) from error
        return values

    def _is_half_filled(self, values: dict[str, Any]) -> bool:
        """Say on the row what is missing in it, and tell whether something is."""
        rest = ("reasons", "days", "start", "schedule", "duration")
        if not values.get("nodes") and any(values.get(name) for name in rest):
            self.add_error("nodes", "Say how many nodes, or clear the whole row.")
        elif values.get("days") and values.get("start") is None:
            self.add_error("start", "Say at what time it begins on these days.")
        elif values.get("start") is not None and values.get("schedule"):
            self.add_error("schedule", "Give days and a time, or a cron schedule; not both.")
        elif values.get("start") is not None and not values.get("duration"):
            self.add_error("duration", "Say how long it lasts from then on.")
        return bool(self.errors)

    def _schedule(self, values: dict[str, Any]) -> str:
        """Return the schedule in UTC; as the pool's file spells it where it is the same."""
        if values.get("start") is None:
            return " ".join(values.get("schedule", "").split())
        days = frozenset(int(day) for day in values.get("days") or range(7))
        ahead = ahead_of_utc(values.get("zone") or "UTC", now())
        made = schedules.Weekly(days, values["start"]).moved(-ahead).text
        return schedules.kept(str(self.initial.get("kept_schedule") or ""), made)


def budget_of(values: dict[str, Any]) -> Budget | None:
    """Return the budget of a row's values; None for an empty row."""
    if not values.get("nodes"):
        return None
    chosen = values.get("reasons") or []
    return Budget(
        nodes=values["nodes"],
        reasons=tuple(name for name in chosen),
        schedule=values.get("schedule") or "",
        duration=values.get("duration") or "",
    )


BudgetFormSet = forms.formset_factory(
    BudgetForm, extra=EMPTY_BUDGETS, max_num=MOST_BUDGETS, validate_max=True
)


def initial_of(pool: NodePool, base: int) -> dict[str, object]:
    """Return what the form shows for a pool as it is."""
    types = [name for name in CAPACITY_TYPES if name in pool.capacity_types]
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
    """Return what the budgets' rows show for a pool as it is: windows as days and a time in UTC."""
    return [
        {
            "nodes": item.nodes,
            "reasons": list(item.reasons),
            "duration": item.duration,
            "zone": "UTC",
            "kept_schedule": item.schedule,
            **_window_of(item.schedule),
        }
        for item in pool.budgets
    ]


def _window_of(schedule: str) -> dict[str, object]:
    found = schedules.weekly(schedule)
    if found is None:
        return {"schedule": schedule}
    days = [] if len(found.days) == len(DAYS) else [str(day) for day in sorted(found.days)]
    return {"days": days, "start": found.at}
