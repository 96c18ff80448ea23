"""Privacy: forgetting, proving it, carrying a person elsewhere, and the audit of all that."""
