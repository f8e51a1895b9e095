"""The headless HTTP mode: the engine's calls as routes. ``server.serve`` is its door."""
