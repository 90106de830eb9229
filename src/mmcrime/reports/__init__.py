"""Room ``reports``."""
