"""From embeddings to figures: retrieval metrics, clustering metrics, pictures."""
