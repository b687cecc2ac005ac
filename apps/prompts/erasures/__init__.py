"""The right to erasure: keys destroyed, with a receipt."""
