"""The serving settings of a proposal, for people and programs; their rules: apps/manifests."""
