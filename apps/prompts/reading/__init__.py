"""Searching and reading the record: who may, why, and who is told."""
