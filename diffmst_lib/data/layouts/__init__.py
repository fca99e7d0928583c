"""Layouts of data sets, recognized by the names of folders and files. Chapter: Data."""
