"""Object stores: runs in buckets, and photographs read from them.

A run at an address, such as s3://bucket/runs/cnn, is read and written in a local folder, its
mirror. `training` keeps the bucket up to date while a command trains there, `reading` fetches a run
and returns what a command adds to it, and `peeked` fetches only the small files of runs. Each
yields a place that is no address unchanged, so that a command works with folders only. `copied`
gives a local copy of data, and `listed` a folder whose files are fetched one by one.
"""

from jaxdl.stores.data import copied, copied_below
from jaxdl.stores.folder import Folder, listed
from jaxdl.stores.opened import (
  Coordinated,
  coordinating,
  fetched,
  peeked,
  reading,
  send,
  training,
)

__all__ = [
  'Coordinated',
  'Folder',
  'coordinating',
  'copied',
  'copied_below',
  'fetched',
  'listed',
  'peeked',
  'reading',
  'send',
  'training',
]
