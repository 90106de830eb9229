"""Sounds made up by simple physics, labelled recordings, and mixes of both at a stated ratio.

Only ``benchmarks/sound_accuracy.py`` uses it; nothing in the library was fitted to these mixes.
"""
