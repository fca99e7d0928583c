"""How collections of songs name their folders and files."""
