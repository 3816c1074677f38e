"""A ride up the ladder, for a person at a terminal: ``tox -e demo``."""
