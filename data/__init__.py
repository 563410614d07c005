"""Datasets: reading them here, making them in data/builder."""
