"""What the stages of the setup wizard show: one pane each, all fed with the same ``SetupView``."""
