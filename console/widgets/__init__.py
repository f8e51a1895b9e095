"""Widgets, one per file. They draw values and post messages; none of them talks to the engine."""
