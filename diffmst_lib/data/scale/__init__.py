"""Large data sets: decoded caches, and shards for streaming. Chapter: Data."""
