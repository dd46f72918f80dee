"""Where the files of the experiment are, from where its dvc.yaml is."""

from pathlib import Path

DATA, REPORTS, MODELS = Path("data/images"), Path("reports"), Path("models")
CLASSIFIER = MODELS / "classifier/classifier.safetensors"
GENERATOR, CRITIC = (MODELS / f"dcgan/{name}.safetensors" for name in ("generator", "critic"))
GENERATED = Path("data/generated.safetensors")
