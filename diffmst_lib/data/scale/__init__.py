"""Large sets: decoded caches, and shards that are streamed. Chapter: Data."""
