"""The profile of `make fuzz`; 300,000 examples of each fuzzer take about an hour on one core."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "hour", max_examples=300_000, deadline=None, suppress_health_check=list(HealthCheck)
)
settings.register_profile(
    "minutes", max_examples=8_000, deadline=None, suppress_health_check=list(HealthCheck)
)
