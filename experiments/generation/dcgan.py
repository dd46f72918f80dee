"""Stage dcgan: a generator of images from noise, against a critic."""

from degrain.build.weights_file import save_weights
from degrain.compute import start_engine
from degrain.files import sha256_file
from degrain.generation.dcgan import start_dcgan
from degrain.generation.labelled import read_set
from degrain.generation.loop import train
from degrain.generation.making import calibrated, make_images, noise_vectors
from degrain.generation.paths import CRITIC, DATA, GENERATOR, REPORTS
from degrain.generation.samples import Watch, draw_course, draw_samples
from degrain.generation.stage import checkpoint_of, told
from degrain.generation.weights import save_network
from degrain.generation_params import GenerationParams, load_generation_params
from degrain.stages._main import run_on
from degrain.tracking import experiment_run
from degrain.training.curve import write_curve

SAMPLES = 100


def main(params: GenerationParams) -> None:
    """Train, write, draw."""
    settings, engine, seed = params.dcgan, start_engine(params.compute), params.seed
    checkpoint = checkpoint_of("dcgan", params)
    note = f"{settings.steps} steps, {settings.adversarial.loss}"
    with experiment_run(told("dcgan", params, note), checkpoint.folder) as log:
        watch = Watch(checkpoint, settings.shown, seed=seed, show=log.log_picture)
        state, course = start_dcgan(read_set(DATA)[0], settings, engine, seed=seed, look=watch)
        train(state, course, checkpoint=checkpoint, log=log)
        generator = calibrated(state.ema.network, engine, seed=seed)
        save_network(GENERATOR, generator, settings, set=params.data.set)
        save_weights(CRITIC, course.step.critic.network, {"trained": settings.model_dump(mode="json")})
        write_curve(REPORTS / "dcgan.csv", state.curve)
        draw_course(REPORTS / "dcgan_course.png", watch.made(state))
        z = noise_vectors(SAMPLES, generator, seed, "samples")
        draw_samples(REPORTS / "dcgan.png", make_images(generator, z, engine))
        log.set_tags({"model.sha256": sha256_file(GENERATOR)})
        for path in (GENERATOR, REPORTS / "dcgan.csv", REPORTS / "dcgan.png", REPORTS / "dcgan_course.png"):
            log.log_artifact(path)
        checkpoint.finish()
    print(f"generated images: {REPORTS}/dcgan.png; over the steps: {REPORTS}/dcgan_course.png")


if __name__ == "__main__":
    run_on(load_generation_params, main)
