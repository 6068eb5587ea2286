"""Loads the pytest layer; everything is in fixtures/."""

pytest_plugins = ("fixtures.plugin", "fixtures.operators", "fixtures.measurement")
