"""The command ``rsparse view``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from rsparse.cli.command import command
from rsparse.cli.console import answer, say
from rsparse.cli.generated import argument
from rsparse.cli.options import Dictionaries
from rsparse.options.view import ViewParameters
from rsparse.store.published import dictionary_files


@command(
    "rsparse view photos/ adv/ adv-purified/",
    "rsparse view photos/ adv/ masks/ pred-photos.csv pred-adv.csv found.csv",
    "rsparse view judged/ --dict dict.h5",
    "rsparse view demo/",
    "rsparse view adv/ --no-browser --port 8000",
)
def view(
    artifacts: Annotated[
        list[Path],
        argument(
            "ARTIFACT",
            "Folders of versions of the same images, which are matched by name, and their "
            "predictions (.csv, .h5) and detections (.csv); an evaluation; or a folder that "
            "contains artifacts.",
        ),
    ],
    parameters: ViewParameters,
    dictionaries: Dictionaries = None,
) -> None:
    """Browse images in a local page: benign, attacked and purified side by side.

    The page has a slider between two versions, their differences, filters such as 'lost under
    attack', and the history of each image. It is only for this machine, at an address that is
    printed; nothing leaves it. Ctrl-C ends it. Of an evaluation, it shows any attack behind any
    defense, and cleans the image that is opened anew; for this, it needs the dictionary.
    """
    from rsparse.commands.view import open_browser, serve_artifacts

    with serve_artifacts(artifacts, parameters, dictionary_files(dictionaries)) as server:
        collection = server.site.collection
        say(f"{len(collection.names)} images; Ctrl-C ends the page")
        answer(server.address)
        if parameters.browser and not open_browser(server):
            say("rsparse: there is no screen for a browser; open the address yourself")
        server.serve_forever()
