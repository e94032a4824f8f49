"""toylab: a laboratory where robust training of diffusion models is judged by exact error."""

__version__ = "0.1.0"
