"""Container images, built without a registry and a daemon."""
