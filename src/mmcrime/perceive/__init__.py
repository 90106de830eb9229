"""Room ``perceive``."""
