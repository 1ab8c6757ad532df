"""Training samples: decoding logs into arrays, keeping them on disk, augmenting and batching them."""
