"""``rsparse view``: artifacts in, a local page to browse them out."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from rsparse.options.view import ViewParameters
from rsparse.viewer.artifacts import sort_artifacts
from rsparse.viewer.gathered import FolderCollection
from rsparse.viewer.server import ViewServer
from rsparse.viewer.site import Site
from rsparse.viewer.versions import Collection


def serve_artifacts(
    artifacts: Sequence[Path],
    parameters: ViewParameters,
    dictionaries: Mapping[str, Path] | None = None,
) -> ViewServer:
    """Read artifacts, and return the server of their page, which is not yet running.

    Parameters
    ----------
    artifacts : sequence of Path
    parameters : ViewParameters
    dictionaries : mapping of str to Path, optional
        The dictionaries of an evaluation's defenses, by name.

    Raises
    ------
    InputError
        If an artifact, a dictionary or the port cannot be used.
    """
    found, follow_links = sort_artifacts(artifacts), parameters.follow_links
    collection: Collection
    if found.evaluations:
        from rsparse.viewer.evaluated import EvaluationCollection

        collection = EvaluationCollection(found, dictionaries or {}, follow_links)
    else:
        collection = FolderCollection(found, follow_links)
    return ViewServer(Site(collection), parameters.port)


def open_browser(server: ViewServer) -> bool:
    """Open the page in the user's browser, if there is a screen to show one."""
    import webbrowser

    if sys.platform != "darwin" and not _SCREENS & os.environ.keys():
        return False
    address = server.address_for_once()
    threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
    return True


_SCREENS = {"DISPLAY", "WAYLAND_DISPLAY", "BROWSER"}
