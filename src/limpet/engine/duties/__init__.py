"""Background duties, one per file: work that waits for no caller and that no caller waits for."""
