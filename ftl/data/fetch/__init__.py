"""Downloads of public telemetry: which Zenodo record holds which file, and how it comes here whole."""

from ftl.data.fetch.catalogue import DATASETS, Choice, PublishedDataset, choose
from ftl.data.fetch.download import Planned, check_space, fetch_files, plan
from ftl.data.fetch.transport import FetchError, Patience, Server
from ftl.data.fetch.watcher import Silent, Watcher
from ftl.data.fetch.zenodo import ZENODO, RemoteFile, resolve
from ftl.data.leftovers import SOURCE_FILE
from ftl.data.sizes import readable_size as gigabytes

__all__ = [
    "DATASETS",
    "SOURCE_FILE",
    "ZENODO",
    "Choice",
    "FetchError",
    "Patience",
    "Planned",
    "PublishedDataset",
    "RemoteFile",
    "Server",
    "Silent",
    "Watcher",
    "check_space",
    "choose",
    "fetch_files",
    "gigabytes",
    "plan",
    "resolve",
]
