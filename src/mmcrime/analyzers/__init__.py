"""Room ``analyzers``."""
