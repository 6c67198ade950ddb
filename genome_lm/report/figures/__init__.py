"""Figures of the report as Altair charts: one module a topic, one function a figure."""
