"""Sweeps that go on where they stopped, in one process or in many."""
