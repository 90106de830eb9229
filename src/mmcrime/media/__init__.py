"""Room ``media``."""
