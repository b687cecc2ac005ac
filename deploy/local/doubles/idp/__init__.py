"""The local stack's identity provider: real OpenID Connect over HTTP, with personas instead of
passwords.
"""
