"""Images: data sets, what corrupts them, and batches of them."""
