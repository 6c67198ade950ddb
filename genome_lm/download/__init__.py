"""Fetching and unpacking published data."""
