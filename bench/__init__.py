"""Measures what the template promises, beside the rivals: ``tox -e bench``."""
