"""The service: what it does (``pricing``) and the ways to reach it."""
