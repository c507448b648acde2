"""Command lines: flags, published spellings and defaults. Imported by the entry points alone."""
