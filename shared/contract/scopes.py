"""The scopes of an API key: what it may do."""

SCOPES = ("submit", "read", "review", "admin")
