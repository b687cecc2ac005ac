"""What pages say of an incident."""

from apps.common.badges import Badge
from apps.incidents.models import Episode
from apps.integrations.servicenow.addresses import is_configured

NOT_CONFIGURED = "No ServiceNow is configured, so nobody is told there"


def badge(episode: Episode) -> Badge:
    """Return whether it is over."""
    if episode.status == Episode.Status.CLOSED:
        return Badge("ok", "", "Over")
    if episode.quiet_since is not None:
        return Badge("warn", "", "Quiet for now", title="Over when nothing of it comes back")
    return Badge("bad", "triangle-alert", "Open")


def report(episode: Episode) -> str:
    """Return how far ServiceNow has been told, in words."""
    if episode.number:
        state = episode.state_words or episode.state
        ended = f"; {episode.get_report_display().lower()}" if episode.report else ""
        return f"{episode.number}, {state}{ended}" if state else episode.number
    if episode.report:
        return episode.get_report_display()
    return "being reported" if is_configured() else NOT_CONFIGURED


def version(episode: Episode) -> str:
    """Return the version that it is about."""
    return episode.model_version.name
