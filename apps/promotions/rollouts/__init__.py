"""Making an approved version serve: one commit per step, watched until callers are with it."""
