"""``rsparse evaluate``: every attack behind every defense, resumable, in one folder.

Like the demo it joins stages through the artifacts that they leave:

- ``clean/``: the images to judge, as the judged model sees them;
- ``attacks/MODEL/ATTACK/``: those images attacked, at the attacked model's input size;
- ``trials/MODEL/ATTACK/DEFENSE.h5``, ``trials/clean/DEFENSE.h5``: what the judged model says;
  ``judged/OTHER/…`` likewise: what another model says that judges in some scenario;
- ``evaluation.h5`` and the CSV files (see ``rsparse.evaluation.files``), ``timing.json``.

What is there already and was made from the same is not made again.
"""
