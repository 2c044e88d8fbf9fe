"""What can be set: one frozen dataclass per stage, attack and defense.

Such a dataclass is at once the defaults (written once), the validation, the command-line
options, the test id (``repr``) and the provenance (``as_record``). Its modules import nothing
heavy, and each is imported by itself, so that ``--help`` stays quick.
"""
