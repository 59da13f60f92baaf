"""Helpers for tests of kdsl and of foreign back ends."""
