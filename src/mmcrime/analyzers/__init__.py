"""The embedded analyzers: `motion` and `sound`, reached through the entry-point group."""
