"""Episodes on disk, and what training reads of them."""
