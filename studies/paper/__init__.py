"""The paper's figures and tables, by the paper's settings, and the search for better ones."""
