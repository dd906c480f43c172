"""How examples are tried in all property tests."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# A busy machine is no fault of the code; what hangs meets the limit that every test has.
settings.register_profile("riveg", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("riveg")
