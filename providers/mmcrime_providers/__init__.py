"""First-party providers. They are reached only through the entry-point group ``mmcrime.providers``."""
