"""What the scratchpad holds and keeps, apart from how it is shown: buffers, their requests, history, lines to copy."""
