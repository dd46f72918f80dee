"""The stages of dvc.yaml, one script each: read the params, build, call, write."""
