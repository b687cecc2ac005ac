"""Models that go: announced with a last day and a successor, retired once nobody calls them."""
