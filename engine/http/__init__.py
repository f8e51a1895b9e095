"""The headless HTTP mode: the engine's calls as routes. ``server.serve`` is the door; ``problem`` needs no web framework."""
