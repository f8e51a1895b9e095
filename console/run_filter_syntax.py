"""What the filter of past runs understands, in one line: apart from its parser, which imports the engine's types."""

SYNTAX = "lang:python status:!success caller:http since:1h until:2026-03-14 trace:7f3c, and words"
