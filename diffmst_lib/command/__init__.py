"""The command line: one module per command.

Chapters: A first mix, Data, Training at scale.
"""
