"""The recipe for one set that anybody can have. Chapter: Data."""
