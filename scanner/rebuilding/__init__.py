"""Writing a data set again without its broken records, and proving that nothing else was lost."""
