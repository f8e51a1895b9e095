"""Images and snapshots as objects of an S3 bucket: packed, signed, sent, fetched and checked."""
