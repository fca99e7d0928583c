"""How the effects are computed: compiled loops on a CPU, FFTs, a kernel on a GPU, and dasp-pytorch.

Chapters: The equalizer, The compressor, The console.
"""
