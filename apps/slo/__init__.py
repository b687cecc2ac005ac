"""Objectives of models, and how they stand."""
