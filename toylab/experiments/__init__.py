"""Experiments: one file each, its presets and what it measures."""
