"""Checks the Terraform here without a cloud and without its registry: OpenTofu that the project
builds, and a provider that knows its schema alone. `make check-delivery` runs it; nothing of it is
deployed.
"""
