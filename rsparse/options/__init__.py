"""Parameters: one frozen dataclass per stage, attack and defense.

A dataclass declares defaults, ranges and help texts once. Validation, command-line options, test
ids (``repr``) and provenance (``as_record``) follow from it. The modules import nothing heavy and
are imported one by one, so that ``--help`` stays fast.
"""
