"""Every name a user can type, and where its definition lives.

A new law, objective, sampler, metric or experiment is one definition plus one line here. Nothing in this
module imports torch: an entry is loaded when it is used. Other packages add experiments and objectives
through the entry-point groups `toylab.experiments` and `toylab.objectives`.
"""

from toylab.entries import Entry, Index

LAWS = Index(
    "law",
    {
        "three-gaussians": Entry("toylab.distributions.named:three_gaussians", "three Gaussians on a circle, in 2-D"),
        "ring-of-gaussians": Entry("toylab.distributions.named:ring_of_gaussians", "Gaussians on a circle, in 2-D"),
        "two-gaussians": Entry("toylab.distributions.named:two_gaussians", "two Gaussians on the line"),
        "gaussian": Entry("toylab.distributions.named:gaussian", "one Gaussian, standard deviations log-spaced"),
        "box": Entry("toylab.distributions.named:box", "uniform on a cube"),
        "oblique-plane": Entry("toylab.distributions.named:oblique_plane", "a square on an oblique plane of R^3"),
        "subspace": Entry("toylab.distributions.named:subspace", "a Gaussian on a random subspace of R^dim"),
        "circle": Entry("toylab.distributions.named:circle", "a circle, in R^dim"),
        "sphere": Entry("toylab.distributions.named:sphere", "a sphere of any dimension, in R^dim"),
        "torus": Entry("toylab.distributions.named:torus", "a product of circles"),
        "swiss-roll": Entry("toylab.distributions.named:swiss_roll", "an Archimedean spiral, in R^dim"),
        "spiral": Entry("toylab.distributions.named:spiral", "a logarithmic spiral, in 2-D"),
        "two-moons": Entry("toylab.distributions.named:two_moons", "two interleaved half circles, in 2-D"),
        "trefoil": Entry("toylab.distributions.named:trefoil", "the trefoil knot, in 3-D"),
        "digits": Entry(
            "toylab.distributions.images:digits", "handwritten digits of 8 x 8 pixels, in R^64", ("sklearn", "images")
        ),
    },
)

CONTAMINATIONS = Index(
    "contamination",
    {
        "none": Entry("toylab.contamination:none", "the clean law itself"),
        "outliers": Entry("toylab.contamination:outliers", "a fraction of points uniform on a box"),
        "far-cluster": Entry("toylab.contamination:far_cluster", "a fraction of points in a far Gaussian cluster"),
        "heavy-tail": Entry("toylab.contamination:heavy_tail", "a fraction of points by Student's t law"),
        "missing": Entry("toylab.contamination:missing", "a fraction of points with a block of coordinates at 0"),
        "duplicates": Entry("toylab.contamination:duplicates", "a fraction of points copied from a few"),
        "inlier-noise": Entry("toylab.contamination:inlier_noise", "a fraction of points with Gaussian noise added"),
    },
)

IMAGE_SETS = Index(
    "image set",
    {
        "digits": Entry(
            "toylab.images.sets:digits", "scikit-learn's handwritten digits, 8 x 8 or enlarged", ("sklearn", "images")
        ),
        "cifar10": Entry("toylab.images.sets:cifar10", "CIFAR-10, 32 x 32", ("datasets", "images")),
        "celeba": Entry("toylab.images.sets:celeba", "faces, aligned and cropped, 64 x 64", ("datasets", "images")),
        "lsun-bedroom": Entry(
            "toylab.images.sets:lsun_bedroom", "bedrooms, 64 x 64 or 256 x 256", ("datasets", "images")
        ),
        "butterflies": Entry(
            "toylab.images.sets:butterflies", "a thousand butterflies, 64 x 64", ("datasets", "images")
        ),
        "folder": Entry("toylab.images.sets:folder", "image files in a folder", ("PIL", "images")),
        "parquet": Entry("toylab.images.sets:parquet", "images in parquet files", ("datasets", "images")),
    },
)

CORRUPTIONS = Index(
    "corruption",
    {
        "none": Entry("toylab.images.corruption:none", "the clean images themselves"),
        "gaussian-noise": Entry("toylab.images.corruption:GaussianNoise", "a fraction of images with noise added"),
        "salt-and-pepper": Entry("toylab.images.corruption:SaltAndPepper", "a fraction with pixels white or black"),
        "occlusion": Entry("toylab.images.corruption:Occlusion", "a fraction with a grey square"),
        "jpeg": Entry("toylab.images.corruption:JPEG", "a fraction compressed with loss", ("PIL", "images")),
        "blur": Entry("toylab.images.corruption:Blur", "a fraction out of focus"),
        "foreign": Entry(
            "toylab.images.corruption:Foreign", "a fraction replaced by images of another set", ("PIL", "images")
        ),
    },
)

SCHEDULES = Index(
    "schedule",
    {
        "ddpm": Entry("toylab.schedules:DDPM", "the table of Ho et al. 2020, between its rows by log-SNR"),
        "vp-linear": Entry("toylab.schedules:VPLinear", "variance preserving, beta linear in t (Song et al. 2021)"),
        "ve": Entry("toylab.schedules:VE", "variance exploding, with the steps of EDM (Karras et al. 2022)"),
        "rectified-flow": Entry("toylab.schedules:RectifiedFlow", "straight paths, alpha = 1 - t (Liu et al. 2022)"),
        "cosine": Entry("toylab.schedules:Cosine", "variance preserving, cosine (Nichol and Dhariwal 2021)"),
    },
)

NETWORKS = Index(
    "network",
    {
        "mlp": Entry("toylab.networks:mlp", "a multilayer perceptron of flat samples"),
        "unet": Entry("toylab.networks.unet:unet", "a U-Net of images (Improved DDPM)", ("diffusers", "images")),
    },
)

OBJECTIVES = Index(
    "objective",
    {
        "ddpm": Entry("toylab.objectives:Denoising", "denoising, the baseline (Ho et al. 2020)"),
        "robust-ran": Entry("toylab.objectives:robust_ran", "equivariance to a random perturbation"),
        "robust-adv": Entry("toylab.objectives:robust_adv", "equivariance to an adversarial perturbation (FGSM)"),
        "robust-pgd": Entry("toylab.objectives:robust_pgd", "equivariance to an adversarial perturbation (PGD)"),
        "robust-onesided": Entry(
            "toylab.objectives:robust_onesided", "ours, against outliers: large random pushes, one side learns"
        ),
        "robust-l2": Entry(
            "toylab.objectives:robust_l2", "ours, against noise off a manifold: PGD in L2, of fixed length"
        ),
        "invariance": Entry("toylab.objectives:invariance", "invariance to a perturbation: the counter-example"),
        "oracle-clean": Entry("toylab.objectives:OnCleanData", "denoising on clean data: an oracle"),
        "ambient": Entry("toylab.objectives:Ambient", "denoising with known noise: an oracle (Daras et al. 2024)"),
        "pseudo-huber": Entry("toylab.objectives:PseudoHuber", "pseudo-Huber loss over time (Khrapov et al. 2024)"),
        "trimmed": Entry("toylab.objectives:Trimmed", "denoising without the worst samples of each batch"),
        "dro": Entry("toylab.objectives:DRO", "denoising at the worst nearby state (Wang et al. 2025)"),
    },
    group="toylab.objectives",
)

RADII = Index(
    "radius schedule",
    {
        "paper": Entry("toylab.perturbations:PAPER", "the paper's: s² + 8/255 noise units, times a random draw"),
        "flat": Entry("toylab.perturbations:FLAT", "one noise unit at every level"),
        "rising": Entry("toylab.perturbations:RISING", "3/√s noise units: it shrinks slower than the noise"),
        "data": Entry("toylab.perturbations:DATA", "a fixed length in the data, 0.1"),
    },
)

SAMPLERS = Index(
    "sampler",
    {
        "ddim": Entry("toylab.samplers:ddim", "DDIM, deterministic at eta = 0 (Song et al. 2021)"),
        "ddpm": Entry("toylab.samplers:ddpm", "ancestral sampling (Ho et al. 2020)"),
        "euler": Entry("toylab.samplers:euler", "probability-flow ODE, Euler in t; flow matching's own"),
        "heun": Entry("toylab.samplers:heun", "probability-flow ODE, Heun in sigma/alpha (Karras et al. 2022)"),
        "euler-maruyama": Entry("toylab.samplers:euler_maruyama", "reverse SDE, Euler-Maruyama (Song et al. 2021)"),
        "dpm-solver++": Entry("toylab.samplers:dpm_solver_pp", "probability-flow ODE, multistep (Lu et al. 2022)"),
        "sde-dpm-solver++": Entry("toylab.samplers:sde_dpm_solver_pp", "reverse SDE, multistep (Lu et al. 2022)"),
        "adaptive": Entry("toylab.samplers:adaptive", "probability-flow ODE, to a tolerance (Dormand-Prince)"),
    },
)

SPACINGS = Index(
    "spacing",
    {
        "t": Entry("toylab.samplers:evenly_in_t", "a sampler's times evenly spaced in t"),
        "log-snr": Entry("toylab.samplers:evenly_in_log_snr", "evenly spaced in log alpha/sigma"),
        "edm": Entry("toylab.samplers:edm", "evenly spaced in (sigma/alpha)^(1/7) (Karras et al. 2022)"),
    },
)

ATTACKS = Index(
    "attack",
    {
        "random": Entry("toylab.attacks:Random", "pushes uniform in the ball"),
        "greedy": Entry("toylab.attacks:Greedy", "each push moves the predicted noise at its own state most"),
        "adaptive": Entry("toylab.attacks:Adaptive", "PGD on all pushes through all remaining steps, with EOT"),
    },
)

AIMS = Index(
    "aim",
    {
        "displacement": Entry("toylab.attacks:displacement", "move the end point most"),
        "leave-support": Entry("toylab.attacks:leave_support", "lower the clean law's density, or leave its support"),
        "target-point": Entry("toylab.attacks:target_point", "end near a point"),
        "target-mode": Entry("toylab.attacks:target_mode", "end near the centre of a mode"),
    },
)

METRICS = Index(
    "metric",
    {
        "eps-mse": Entry("toylab.metrics.score:eps_mse", "mean squared error of eps against the exact score"),
        "noise-share": Entry(
            "toylab.metrics.score:noise_share", "how much of the exact noise is predicted (1 all, less too little)"
        ),
        "leakage": Entry("toylab.metrics.score:leakage", "how much of the contamination was learned (0 none, 1 all)"),
        "jacobian-error": Entry(
            "toylab.metrics.smoothness:jacobian_error", "squared error of the Jacobian of eps, in noise units"
        ),
        "jacobian-spectrum": Entry(
            "toylab.metrics.smoothness:jacobian_spectrum", "eigenvalues of that Jacobian, the largest first"
        ),
        "spectrum-error": Entry("toylab.metrics.smoothness:spectrum_error", "squared error of those eigenvalues"),
        "equivariance-error": Entry(
            "toylab.metrics.smoothness:equivariance_error", "how far eps is from moving with a push (0 with it, 1 not)"
        ),
        "lipschitz": Entry("toylab.metrics.flow:lipschitz", "Lipschitz constant of the sampler's flow, from below"),
        "lyapunov": Entry("toylab.metrics.flow:lyapunov", "finite-time Lyapunov exponent of the sampler's flow"),
        "path-length": Entry("toylab.metrics.flow:path_length", "length of the sampler's paths"),
        "path-excess": Entry("toylab.metrics.flow:path_excess", "share of that length beyond a straight line"),
        "path-curvature": Entry("toylab.metrics.flow:path_curvature", "angle by which the sampler's paths turn"),
        "w1": Entry("toylab.metrics.transport:w1", "Wasserstein-1 distance of samples to the law"),
        "w2": Entry("toylab.metrics.transport:w2", "Wasserstein-2 distance of samples to the law"),
        "sliced-w2": Entry("toylab.metrics.transport:sliced_w2", "sliced Wasserstein-2 distance to the law"),
        "sinkhorn": Entry("toylab.metrics.transport:sinkhorn", "root of the debiased Sinkhorn divergence to the law"),
        "frechet": Entry("toylab.metrics.transport:frechet", "Wasserstein-2 distance of fitted Gaussians"),
        "energy-distance": Entry("toylab.metrics.discrepancies:energy_distance", "energy distance to the law"),
        "mmd": Entry("toylab.metrics.discrepancies:mmd", "squared maximum mean discrepancy to the law"),
        "precision": Entry("toylab.metrics.coverage:precision", "samples near exact ones (Kynkäänniemi et al. 2019)"),
        "recall": Entry("toylab.metrics.coverage:recall", "exact samples near samples (Kynkäänniemi et al. 2019)"),
        "density": Entry(
            "toylab.metrics.coverage:density", "how densely exact ones lie about samples (Naeem et al. 2020)"
        ),
        "coverage": Entry("toylab.metrics.coverage:coverage", "exact samples that have one near (Naeem et al. 2020)"),
        "outlier-mass": Entry(
            "toylab.metrics.robustness:outlier_mass", "samples outside the clean law's 99.9 % region"
        ),
        "mode-weight": Entry("toylab.metrics.robustness:mode_weight", "weight of each mode, inside that region"),
        "mode-width": Entry("toylab.metrics.robustness:mode_width", "standard deviation of each mode, inside it"),
        "distance": Entry("toylab.metrics.support:distance", "distance of samples to the clean law's support"),
        "normal-std": Entry("toylab.metrics.support:normal_std", "deviation from the clean law's subspace"),
        "tangent-std": Entry("toylab.metrics.support:tangent_std", "standard deviation within that subspace"),
        "psnr": Entry("toylab.metrics.support:psnr", "samples against their projections on that subspace, in dB"),
        "nearest-ratio": Entry(
            "toylab.metrics.memorization:nearest_ratio", "distance to the training set over that of exact samples"
        ),
        "duplicate-share": Entry(
            "toylab.metrics.memorization:duplicate_share", "samples nearer to it than 1 % of exact samples are"
        ),
        "kl": Entry("toylab.metrics.likelihood:kl", "KL(law, model) in nats, the model by the probability-flow ODE"),
        "girsanov-bound": Entry(
            "toylab.metrics.likelihood:girsanov_bound", "bound on KL(law, model) in nats, the model by the reverse SDE"
        ),
        "training-leakage": Entry(
            "toylab.metrics.memorization:training_leakage", "how much of the training set was learned (0 none, 1 all)"
        ),
        "training-mse": Entry(
            "toylab.metrics.memorization:training_mse", "squared error of eps against the training set's"
        ),
    },
)

FEATURES = Index(
    "feature extractor",
    {
        "digits": Entry(
            "toylab.images.classifier:Digits", "the lab's own classifier of 8 x 8 digits", ("sklearn", "images")
        ),
        "inception": Entry(
            "toylab.images.features:Inception", "the user's Inception weights, a TorchScript file: FID, KID, IS"
        ),
    },
)

IMAGE_METRICS = Index(
    "image metric",
    {
        "fd": Entry(
            "toylab.metrics.images:frechet_features",
            "squared Fréchet distance of features: fd-digits, or fid",
            ("torchmetrics", "images"),
        ),
        "pixel-fd": Entry(
            "toylab.metrics.images:frechet_pixels",
            "squared Fréchet distance of the pixels themselves",
            ("torchmetrics", "images"),
        ),
        "kd": Entry(
            "toylab.metrics.images:kernel_features",
            "kernel distance of features, unbiased: kd-digits, or kid",
            ("torchmetrics", "images"),
        ),
        "is": Entry(
            "toylab.metrics.images:inception_score",
            "inception score by the extractor's classes: is-digits, or is",
            ("torchmetrics", "images"),
        ),
        "feature-precision": Entry("toylab.metrics.images:feature_precision", "samples near real images, by features"),
        "feature-recall": Entry("toylab.metrics.images:feature_recall", "real images near samples, by features"),
        "feature-nearest-ratio": Entry(
            "toylab.metrics.images:nearest_in_features",
            "distance of features to the training set over that of held-out images",
        ),
    },
)

EXPERIMENTS = Index(
    "experiment",
    {
        "gmm-outliers": Entry(
            "toylab.experiments.gmm_outliers:EXPERIMENT",
            "three Gaussians, 10 % uniform outliers: who learns them? (preset paper never run)",
        ),
        "plane-inliers": Entry(
            "toylab.experiments.plane_inliers:EXPERIMENT",
            "a square in R³, 90 % of the points noisy: who learns the noise?",
        ),
        "subspace-corruption": Entry(
            "toylab.experiments.subspace_corruption:EXPERIMENT",
            "images on a known subspace of R^64, 90 % of them noisy: who leaves it?",
            ("sklearn", "images"),
        ),
        "subspace-images": Entry(
            "toylab.experiments.subspace_images:EXPERIMENT",
            "a U-Net on images of known score, in 64 to 3,072 dimensions",
            ("diffusers", "images"),
        ),
        "digits-noise": Entry(
            "toylab.experiments.digits_noise:EXPERIMENT",
            "the paper's protocol for images, on 8 x 8 digits: FD-digits, few steps, attacks",
            ("diffusers", "images"),
        ),
        "cifar10-noise": Entry(
            "toylab.experiments.photo_noise:CIFAR10",
            "the paper's protocol on CIFAR-10 (preset paper never run at full size)",
            ("diffusers", "images"),
        ),
        "celeba-noise": Entry(
            "toylab.experiments.photo_noise:CELEBA",
            "the paper's protocol on CelebA, 64 x 64 (preset paper never run at full size)",
            ("diffusers", "images"),
        ),
        "lsun-noise": Entry(
            "toylab.experiments.photo_noise:LSUN",
            "the paper's protocol on LSUN Bedroom, 64 x 64 (preset paper never run at full size)",
            ("diffusers", "images"),
        ),
        "theory-check": Entry("toylab.experiments.theory_check:EXPERIMENT", "on a line: networks beside exact optima"),
        "cost": Entry("toylab.experiments.cost:EXPERIMENT", "what cheaper regularisers keep of the full one's effect"),
        "trajectory-attack": Entry(
            "toylab.experiments.trajectory_attack:EXPERIMENT",
            "attacks on the sampling trajectory, beside the same on the exact score",
        ),
        "invariance-failure": Entry(
            "toylab.experiments.invariance_failure:EXPERIMENT", "how invariance fails, and why"
        ),
        "clean-price": Entry(
            "toylab.experiments.clean_price:EXPERIMENT", "what robust training costs on clean data, beside the theory"
        ),
        "contamination-grid": Entry(
            "toylab.experiments.contamination_grid:EXPERIMENT",
            "share x size of inlier noise, beside oracles and ddpm trained longer (preset paper never run)",
        ),
        "dimension-sweep": Entry(
            "toylab.experiments.dimension_sweep:EXPERIMENT", "a circle and a line in 2 to 512 dimensions, noisy"
        ),
        "prior-art": Entry("toylab.experiments.prior_art:EXPERIMENT", "other robust trainings, at equal evaluations"),
        "radius-map": Entry("toylab.experiments.radius_map:EXPERIMENT", "λ x radius x its exponent, on gmm-outliers"),
        "heavy-tails": Entry("toylab.experiments.heavy_tails:EXPERIMENT", "outliers without end: Student's t law"),
        "missing-data": Entry("toylab.experiments.missing_data:EXPERIMENT", "points with a coordinate set to 0"),
        "memorization": Entry("toylab.experiments.memorization:EXPERIMENT", "few points, some of them many times"),
        "few-steps": Entry("toylab.experiments.few_steps:EXPERIMENT", "5 to 1,000 evaluations a sample, by sampler"),
        "other-families": Entry("toylab.experiments.other_families:EXPERIMENT", "DDPM beside EDM and flow matching"),
        "fine-tune": Entry("toylab.experiments.fine_tune:EXPERIMENT", "robust in the last part of a training alone"),
        "benchmark-task": Entry(
            "toylab.experiments.benchmark_task:EXPERIMENT", "a method on a task of the benchmark: see toylab benchmark"
        ),
        "lab": Entry("toylab.experiments.lab:EXPERIMENT", "any law x contamination x objective x schedule x sampler"),
    },
    group="toylab.experiments",
)

_PRESETS = {
    "gmm-outliers": ("smoke", "default", "ledger", "paper"),
    "contamination-grid": ("smoke", "default", "paper"),
    "prior-art": ("smoke", "default", "plane"),
} | dict.fromkeys(("cifar10-noise", "celeba-noise", "lsun-noise"), ("smoke", "paper"))


def presets(experiment: str) -> tuple[str, ...]:
    """The names of an experiment's presets, known without importing it; of one of another package those it most likely
    has."""
    return _PRESETS.get(experiment, ("smoke", "default"))
