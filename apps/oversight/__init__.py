"""The pages of those who oversee: the search of the record, and what it is asked for."""
