"""Stage 6, record: an exchange is stored, whole, before it counts as done."""
