"""What a search tries next, and what it knows, on disk at any moment."""
