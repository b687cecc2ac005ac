"""The policy of promotions: what must hold for a version to serve, as data that people review."""
