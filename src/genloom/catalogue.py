"""Every model by name, imported only when asked for."""

from __future__ import annotations

from genloom.bounds import short
from genloom.core.model import Model
from genloom.errors import InputError, nearest
from genloom.kinds import imported

MODELS = {
    "gan": ("genloom.models.adversarial.gan:GAN", "Generative Adversarial Nets, Goodfellow et al. 2014"),
    "cgan": ("genloom.models.adversarial.cgan:CGAN", "Conditional Generative Adversarial Nets, Mirza & Osindero 2014"),
    "dcgan": ("genloom.models.adversarial.dcgan:DCGAN", "Deep Convolutional GAN, Radford, Metz & Chintala 2015"),
    "progan": (
        "genloom.models.adversarial.progan:ProGAN",
        "Progressive Growing of GANs for Improved Quality, Stability, and Variation, Karras et al. 2018",
    ),
    "projected": ("genloom.models.adversarial.projected:Projected", "Projected GANs Converge Faster, Sauer et al. 2021"),
    "r3gan": (
        "genloom.models.adversarial.r3gan:R3GAN",
        "The GAN is dead; long live the GAN! A Modern Baseline GAN, Huang et al. 2024",
    ),
    "feature_matching": (
        "genloom.models.adversarial.feature_matching:FeatureMatching",
        "Improved Techniques for Training GANs, Salimans et al. 2016",
    ),
    "dfm": (
        "genloom.models.adversarial.dfm:DFM",
        "Improving Generative Adversarial Networks with Denoising Feature Matching, Warde-Farley & Bengio 2017",
    ),
    "tagger": (
        "genloom.models.adversarial.tagger:Tagger",
        "Conditional Generative Adversarial Nets, section 4.2, Mirza & Osindero 2014",
    ),
    "icgan": ("genloom.models.adversarial.icgan:ICGAN", "Instance-Conditioned GAN, Casanova et al. 2021"),
    "pixelcnn": ("genloom.models.likelihood.pixelcnn:PixelCNN", "Pixel Recurrent Neural Networks, van den Oord et al. 2016"),
    "pixelrnn": ("genloom.models.likelihood.pixelrnn:PixelRNN", "Pixel Recurrent Neural Networks, van den Oord et al. 2016"),
    "autoencoder": (
        "genloom.models.likelihood.autoencoder:Autoencoder",
        "Hinton & Salakhutdinov 2006; denoising: Vincent et al. 2008",
    ),
    "vae": ("genloom.models.likelihood.vae:VAE", "Auto-Encoding Variational Bayes, Kingma & Welling 2013"),
    "pix2pix": (
        "genloom.models.translation.pix2pix:Pix2Pix",
        "Image-to-Image Translation with Conditional Adversarial Networks, Isola et al. 2017",
    ),
    "cyclegan": (
        "genloom.models.translation.cyclegan:CycleGAN",
        "Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks, Zhu et al. 2017",
    ),
    "srgan": (
        "genloom.models.resolution.srgan:SRGAN",
        "Photo-Realistic Single Image Super-Resolution Using a Generative Adversarial Network, Ledig et al. 2017",
    ),
    "gain": (
        "genloom.models.tables.gain:GAIN",
        "Missing Data Imputation using Generative Adversarial Nets, Yoon et al. 2018",
    ),
    "timegan": (
        "genloom.models.series.timegan:TimeGAN",
        "Time-series Generative Adversarial Networks, Yoon et al. 2019",
    ),
    "rtsgan": (
        "genloom.models.series.rtsgan:RTSGAN",
        "Towards Generating Real-World Time Series Data, Pei et al. 2021",
    ),
    "music": (
        "genloom.models.music.music:Music",
        "music in a few voices, step by step: a recurrent net with the exact likelihood of each step",
    ),
    "music_cyclegan": (
        "genloom.models.music.music_cyclegan:MusicCycleGAN",
        "Symbolic Music Genre Transfer with CycleGAN, Brunner et al. 2018; with recurrent networks",
    ),
    "crnngan": (
        "genloom.models.music.crnngan:CRNNGAN",
        "C-RNN-GAN: Continuous recurrent neural networks with adversarial training, Mogren 2016",
    ),
    "counts": (
        "genloom.models.music.counts:Counts",
        "music by a table of what was done in which context: the baseline beside music",
    ),
    "line": ("genloom.models.adversarial.line:Line", "the one-dimensional game of the GAN paper's first figure"),
}


ELSEWHERE = {  # names that people ask for, and what there is that does what they are for
    **dict.fromkeys(("stylegan", "stylegan2", "stylegan3"), "r3gan and projected come nearest"),
    **dict.fromkeys(("biggan",), "icgan with --hyper.condition classes is BigGAN in small"),
    **dict.fromkeys(("fastgan", "lightweight-gan", "projected-gan"), "projected comes nearest"),
    **dict.fromkeys(("wgan", "wgan-gp"), "progan has that objective, --hyper.objective wgan-gp"),
    **dict.fromkeys(("sngan",), "dcgan comes nearest"),
    **dict.fromkeys(("acgan", "conditional-gan"), "dcgan with --conditional comes nearest, and cgan"),
    **dict.fromkeys(("ddpm", "diffusion", "stable-diffusion", "flow", "glow", "realnvp"), "dcgan and vae come nearest"),
    **dict.fromkeys(
        ("vqvae", "vq-vae", "beta-vae", "iwae", "cvae"), "vae comes nearest, with --hyper.beta or --hyper.draws"
    ),
    **dict.fromkeys(("pixelcnn++", "pixelsnail", "made", "transformer", "imagegpt"), "pixelcnn comes nearest"),
    **dict.fromkeys(("bigan", "infogan", "vaegan"), "dcgan comes nearest for pictures, vae for codes"),
    **dict.fromkeys(("pix2pixhd", "spade", "img2img"), "pix2pix comes nearest"),
    **dict.fromkeys(("srresnet",), "srgan with --hyper.adversary 0 is SRResNet"),
    **dict.fromkeys(("esrgan", "real-esrgan", "edsr", "swinir"), "srgan comes nearest"),
    **dict.fromkeys(("discogan", "dualgan", "unit", "munit", "cut"), "cyclegan comes nearest"),
    **dict.fromkeys(("rcgan", "doppelganger", "dgan", "timevae", "tts-gan", "diffusion-ts"), "rtsgan comes nearest"),
    **dict.fromkeys(
        ("ctgan", "tvae", "mice", "miceforest", "missforest", "misgan"), "gain and `genloom repair` come nearest"
    ),
}


def find_model(name: str) -> type[Model]:
    """Return the class of a model by name, or raise InputError with the nearest name."""
    if name not in MODELS and (there := ELSEWHERE.get(name.lower().replace("_", "-"))):
        raise InputError(f"there is no {name} here: {there}; `genloom models` lists what there is")
    if name not in MODELS:
        raise InputError(f"no model {short(name)}{nearest(short(name), MODELS)}; `genloom models` lists them")
    found: type[Model] = imported(MODELS[name][0])
    return found
