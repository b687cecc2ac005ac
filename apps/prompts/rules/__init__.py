"""What is kept of each data class, and for how long: reviewed data."""
