"""Losses: pure functions on tensors, one value per sample; weights belong to the training step."""
