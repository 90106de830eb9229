"""First-party providers, reached only through the entry-point group ``mmcrime.providers``."""
