"""Pages that join facts of several apps: each app is asked once for the whole page."""
