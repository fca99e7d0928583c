"""Audio players for comparing sounds. Chapter: A first mix."""
