"""Whether images that come in are still like those that the model was made for."""
