"""Rollouts of a model that are held while what serves is in trouble."""
