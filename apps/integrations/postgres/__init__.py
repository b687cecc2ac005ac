"""PostgreSQL as this deployment reaches it: how Django connects (`base`), who logs in (`login`),
and what has connections of its own (`direct`).
"""
