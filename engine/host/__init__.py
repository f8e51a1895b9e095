"""What the engine knows about the machine it runs on: facts, checks, samples. Imports nothing of ours but values."""
