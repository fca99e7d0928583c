"""The open set, a data set that anybody can build. Chapter: Data."""
