"""What runs inside a microVM: PID 1 and the agent. Standard library only; imports nothing of ours."""
