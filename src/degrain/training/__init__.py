"""Training: one loop for both stages, exact resume, no matter when it was stopped."""
