"""What things cost, and how soon training gets where: see README, "What it costs"."""
