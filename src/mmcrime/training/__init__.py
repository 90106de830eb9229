"""Room ``training``."""
