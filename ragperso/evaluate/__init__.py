"""Surface: measure retrieval on documents and questions with known answers."""
