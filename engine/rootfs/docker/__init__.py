"""Images that Docker made: from an engine, or from the archives that its tools write. Nothing in them is trusted."""
