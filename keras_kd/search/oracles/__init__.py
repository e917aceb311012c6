"""Oracles: they propose a search's trials and keep its state on disk."""
