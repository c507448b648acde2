"""From finished runs to tables over seeds and pictures of them."""
