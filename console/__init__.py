"""What the operator sees: a Textual app over ``engine.api.EngineApi``.

Start it with ``console.launch.run``. Nothing here reaches below the engine's public types.
"""
