"""``rsparse evaluate``: test every attack against every defense, in one folder.

Like the demo, it runs other stages, which exchange artifacts in this folder:

- ``clean/``: the images to judge, at the judged model's input size;
- ``attacks/MODEL/ATTACK/``: these images attacked, at the attacked model's input size;
- ``trials/MODEL/ATTACK/DEFENSE.h5``, ``trials/clean/DEFENSE.h5``: the judged model's predictions;
- ``judged/OTHER/…``: the same for another model that judges in a scenario;
- ``detections/…/ATTACK.csv``: what the detector found, if there is one;
- ``evaluation.h5`` and the CSV files (see ``rsparse.evaluation.files``), ``timing.json``.

Artifacts that already exist and have the same inputs are not made again, so an interrupted
evaluation can be resumed.
"""
