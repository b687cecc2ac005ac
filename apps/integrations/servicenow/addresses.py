"""Where ServiceNow is, and the pages of it that people open."""

from django.conf import settings


def is_configured() -> bool:
    """Tell whether this portal has a ServiceNow."""
    return bool(settings.SERVICENOW_URL)


def page_of(table: str, sys_id: str) -> str:
    """Return the address of a record's page; "" where it has no id yet, or there is no ServiceNow.

    table: "change_request" or "incident".
    """
    if not sys_id or not is_configured():
        return ""
    return f"{settings.SERVICENOW_URL}/{table}.do?sys_id={sys_id}"
