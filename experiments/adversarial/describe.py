"""What an arm is, in words that its params give: the columns loss and stabilisers."""

from __future__ import annotations

from degrain.params import Params
from degrain.training.stabilisers import Stabilisers
from degrain.training_params import Train
from experiments.adversarial.arms import Arm

USUAL_EMA_IMAGES = 1.0  # a shorter half-life averages nothing


def loss_of(params: Params, arm: Arm) -> str:
    """The terms of the generator's loss with their weights."""
    match arm.trains:
        case "nothing":
            return "none"
        case "pixel":
            return params.pretrain.loss
        case "variational":
            return f"{params.pretrain.loss} + {arm.divergence_weight:g} divergence"
    train = params.train
    terms = [f"{train.pixel.weight:g} {train.pixel.loss}"]
    terms.append(f"{train.adversarial.weight:g} {train.adversarial.loss}")
    for name in ("ms_ssim", "focal_frequency", "perceptual"):
        if weight := getattr(train, name).weight:
            terms.append(f"{weight:g} {name}")
    return " + ".join(terms)


def stabilisers_of(params: Params, arm: Arm) -> str:
    """All that is switched on to keep both players in balance, and the discriminator if it is another one."""
    if arm.trains != "adversarial":
        return ""
    said = _of_discriminator(params.train) | _of_penalties(params.train)
    return ", ".join(text for text, is_on in said.items() if is_on)


def _of_discriminator(train: Train) -> dict[str, object]:
    """What could be said of the players, and whether it is so."""
    seen = train.discriminator
    return {
        f"{seen.kind} discriminator": seen.kind != "unet",
        "conditional discriminator": seen.conditional,
        "spectral norm": seen.spectral_norm,
        f"feature matching {train.feature_matching.weight:g}": train.feature_matching.weight,
        f"discriminator's rate x {train.discriminator_lr / train.lr:g}": train.discriminator_lr != train.lr,
        "averaged weights": train.ema_half_life_images >= USUAL_EMA_IMAGES,
        "minibatch deviation": seen.minibatch_std,
    }


def _of_penalties(train: Train) -> dict[str, object]:
    """The same of the section `stabilisers`."""
    held = train.stabilisers
    penalty = Stabilisers(train, threshold=0.0, seed=0).gradient_penalty_weight
    return {
        f"R1 {held.r1.weight:g} every {held.r1.every}": held.r1.weight,
        f"R2 {held.r2.weight:g} every {held.r2.every}": held.r2.weight,
        f"gradient penalty {penalty:g}": penalty,
        f"label smoothing {held.label_smoothing:g}": held.label_smoothing,
        f"historical averaging {held.historical_averaging.weight:g}": held.historical_averaging.weight,
        f"LeCam {held.lecam.weight:g}": held.lecam.weight,
        "adaptive augmentation": held.augmentation.enabled,
        f"instance noise {held.instance_noise.sigma_255:g}/255": held.instance_noise.sigma_255,
    }
