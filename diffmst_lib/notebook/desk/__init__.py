"""A mixing desk in the browser."""
