"""Images: points of R^d that are also pixels, of a shape (C, H, W), between -1 and 1: data sets, what corrupts them,
batches of them, and what metrics see of them."""
