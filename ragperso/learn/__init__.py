"""Stage 7, learn: what the person wrote becomes exemplars, a style card and a profile."""
