"""The typed Python client of the HTTP API: `from shared.client import Client`."""

from shared.client.client import ApiError, Client, Options, Unreachable, UnusableInput

__all__ = ["ApiError", "Client", "Options", "Unreachable", "UnusableInput"]
