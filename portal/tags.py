"""Template tags that every page has without loading them: icons, built files, times. They format,
never decide.
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from django import template
from django.forms import Form
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from apps.accounts import step_up
from apps.accounts.models import User
from apps.audit import timeline
from apps.common import money, periods
from apps.common.badges import Badge, Tone
from apps.common.charts import Chart
from apps.common.tables.page import Page
from apps.fleet import words as words_of
from portal.assets import asset_url

register = template.Library()


@register.simple_tag
def asset(name: str) -> str:
    """Return the address of a built file: {% asset "app.css" %}."""
    return asset_url(name)


@register.simple_tag
def icon(name: str, css: str = "") -> SafeString:
    """Show one icon of static/src/icons.txt: {% icon "house" %}. A word must stand beside it."""
    return format_html(
        '<svg class="icon {}" aria-hidden="true"><use href="{}#{}"></use></svg>',
        css,
        asset_url("icons.svg"),
        name,
    )


@register.simple_tag(takes_context=True)
def restore(context: template.Context, form: Form | None, *urls: str) -> str:
    """Have a form show what the person had sent from it when they were asked to sign in again.

    urls: where it is sent: {% restore form decide.approve_url decide.reject_url %} before it is
    shown. Every form that a decision is sent from needs it (components/_decide.html has it).
    """
    typed = _typed(context, urls)
    if form is not None and typed:
        step_up.restore(form, typed)
    return ""


@register.simple_tag(takes_context=True)
def typed(context: template.Context, url: str, field: str) -> str:
    """Return what the person had typed in one field of a form without a Django form, as `restore`
    does: {% typed action "reason" as text %}.
    """
    return (_typed(context, (url,)).get(field) or [""])[-1]


def _typed(context: template.Context, urls: tuple[str, ...]) -> Mapping[str, list[str]]:
    """Return the kept fields; none on a page that nobody asked for, such as one in a test."""
    request = getattr(context, "request", None)
    user = getattr(request, "user", None)
    if request is None or not isinstance(user, User):
        return {}
    return step_up.typed_at(request, user, urls)


@register.simple_block_tag
def words(content: str) -> SafeString:
    """Return what stands inside as one line of text, for a sentence that an include takes.

    {% words as lead %}A long sentence about {{ model.name }},
    over several lines.{% endwords %} {% include "…" with lead=lead only %}
    """
    return mark_safe(" ".join(content.split()))  # noqa: S308 - rendered, so escaped already


@register.inclusion_tag("components/_badge.html")
def badge(value: Badge | Tone | None, words: str = "", icon: str = "") -> dict[str, Badge | None]:
    """Show a badge: {% badge line.badge %}; one that never changes: {% badge "ok" "Met" %}."""
    made = Badge(value, icon, words) if isinstance(value, str) and value else value or None
    if made is not None and not isinstance(made, Badge):
        raise TypeError(f"A badge is an apps.common.badges.Badge, not {made!r}")
    return {"badge": made}


@register.simple_tag
def when(value: datetime | date | None, style: str = "full", missing: str = "—") -> str:
    """Show a moment; the browser turns it into the person's zone, UTC stays in the title.

    style: full ("24 Nov 02:17") · relative ("3 min ago") · age ("3 min") · clock ("02:17:03") ·
    date ("24 Nov 2026").
    """
    if value is None:
        return missing
    if not isinstance(value, datetime):
        return format_html(
            '<time datetime="{}">{}</time>', value.isoformat(), f"{value.day} {value:%b %Y}"
        )
    utc = value.astimezone(UTC)
    texts = {"clock": f"{utc:%H:%M:%S} UTC", "date": f"{utc.day} {utc:%b %Y}"}
    text = texts.get(style, f"{utc.day} {utc:%b %H:%M} UTC")
    return format_html(
        '<time datetime="{}" title="{}" data-when="{}">{}</time>',
        utc.isoformat(), f"{utc:%Y-%m-%d %H:%M:%S} UTC", style, text,
    )  # fmt: skip


@register.simple_tag
def elapsed(value: datetime | None) -> str:
    """Show the time since a moment; it counts up in the browser."""
    if value is None:
        return ""
    seconds = max(0, int((datetime.now(UTC) - value).total_seconds()))
    text = f"{seconds} s" if seconds < 60 else f"{seconds // 60} min {seconds % 60:02} s"
    return format_html('<time datetime="{}" data-elapsed>{}</time>', value.isoformat(), text)


@register.filter
def initials(name: str) -> str:
    """Return a person's initials, two letters at most."""
    words = str(name).split()
    return (
        "".join(word[0] for word in (words[0], words[-1])[: len(words)]).upper() if words else "?"
    )


@register.filter
def percent_of(value: Any, total: Any) -> str:
    """Return value as percent of total, 0 to 100, with a dot: for widths in SVG."""
    try:
        share = 100 * float(value) / float(total)
    except (TypeError, ValueError, ZeroDivisionError):
        share = 0.0
    return f"{min(max(share, 0.0), 100.0):.2f}"


@register.filter
def filesize_short(size: int) -> str:
    """Return bytes as people read them: 269 MB (powers of 1000)."""
    value = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


@register.filter
def about_usd(amount: Decimal | None) -> str:
    """Show an estimate in USD: {{ starts.usd_per_start|about_usd }}, "about $1.23"."""
    return money.about_usd(amount)


@register.filter
def usd(amount: Decimal | None) -> str:
    """Show an amount in USD, exact on hover: {{ line.list_cost_usd|usd }}."""
    return money.shown(amount)


@register.filter
def usd_words(amount: Decimal | None) -> str:
    """Show an amount in USD where no HTML can stand, in an attribute: {{ spent_usd|usd_words }}."""
    return money.usd(amount)


@register.simple_tag
def node_name(name: str) -> SafeString:
    """Show a node by its short name, the whole one on hover: {% node_name line.node.name %}."""
    return format_html('<span class="mono" title="{}">{}</span>', name, words_of.short_name(name))


@register.filter
def capacity_type(kind: str) -> str:
    """Show a kind of machine, "On demand": {{ part.span.capacity_type|capacity_type }}."""
    return words_of.capacity_type(kind)


@register.simple_tag
def table_parameter(page: Page, name: str) -> str:
    """Return how a parameter of a table is called: {% table_parameter table "q" %}."""
    return page.table.parameter(name)


@register.inclusion_tag("components/_chart.html")
def chart(value: Chart) -> dict[str, object]:
    """Show a chart with its table: {% chart tokens %}. Its script is {% chart_script %}."""
    return {"chart": value, "figures": value.table()}


@register.simple_tag
def chart_script() -> SafeString:
    """Load the script of charts, in {% block scripts %} of the pages that have one."""
    return format_html('<script src="{}" defer></script>', asset_url("charts.js"))


@register.simple_tag
def moment(value: datetime | date | str) -> str:
    """Show what a row of a chart's table begins with: a moment, a day or a name."""
    if isinstance(value, str):
        return value
    return when(value) if isinstance(value, datetime) else day(value)


@register.filter
def unit_price(amount: Decimal | None) -> str:
    """Show a price per million tokens or per hour: {{ claim.price_usd_per_hour|unit_price }}."""
    return money.unit_price(amount)


@register.simple_tag
def day(value: date | None, missing: str = "—") -> str:
    """Show a date without a time: {% day grant.last_day %}. It is one day for everybody, and never
    shifted by the reader's zone.
    """
    if value is None:
        return missing
    if isinstance(value, datetime):
        raise TypeError("A moment is no day: say which one it is (apps/common/periods.py).")
    zone = f"The day of {periods.ZONE_NAME}, for everybody"
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        value.isoformat(), zone, periods.day_words(value),
    )  # fmt: skip


@register.filter
def action_tone(action: str) -> str:
    """Show an audit action in its verb's color: {{ event.action|action_tone }}."""
    return timeline.tone(action) or "idle"


@register.filter
def action_icon(action: str) -> str:
    """Show the icon of an audit action's noun: {% icon event.action|action_icon %}."""
    return timeline.icon(action)


@register.filter
def price_basis(basis: str) -> str:
    """Show whose price it is, "list price": {{ claim.price_basis|price_basis }}."""
    return words_of.price_basis(basis)
