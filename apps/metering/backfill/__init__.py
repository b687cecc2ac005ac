"""Usage of the past that is brought in day by day, with the clock of its days."""
