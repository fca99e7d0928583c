"""Large sets: decoded caches and shards."""
