"""Layouts of data sets: songs found by the names of folders and files. Chapter: Data."""
