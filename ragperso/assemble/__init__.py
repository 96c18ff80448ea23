"""Stage 4, assemble: build the prompt and its ledger; pure functions, no disk, no model."""
