"""Players that compare sounds."""
