"""Which photographs of a collection a new one is like, and what that says of it: the index, its answers and engines."""
