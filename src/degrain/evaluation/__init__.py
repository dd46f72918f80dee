"""Evaluation: per-image results, their summary, pictures."""
