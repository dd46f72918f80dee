"""Image sets, from files on disk to training batches."""
