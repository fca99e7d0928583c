"""A mixing desk in the browser. Chapter: The console."""
