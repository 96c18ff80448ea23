"""Other libraries' retrieval, each in its own environment: see ``environments``."""
