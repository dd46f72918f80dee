"""What a retraining changed, as one Markdown comment."""
