"""Sample data, loaded through the same actions that people use."""
