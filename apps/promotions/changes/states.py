"""The states of a change and of its approval, as ServiceNow writes them. Which follows which is not
here: an instance may have its own model, so that is asked for each time.
"""

NEW, ASSESS, AUTHORIZE, SCHEDULED, IMPLEMENT, REVIEW = "-5", "-4", "-3", "-2", "-1", "0"
CLOSED, CANCELED = "3", "4"
ENDED = (CLOSED, CANCELED)
APPROVED, REJECTED = "approved", "rejected"
# why nothing certain is known of a change
AWAY, UNTRUE, REFUSED, TWO, GONE, NOT_OFFERED = (
    "AWAY", "UNTRUE", "REFUSED", "TWO_CHANGES", "GONE", "NOT_OFFERED",
)  # fmt: skip
