"""Room ``fusion``."""
