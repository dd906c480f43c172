"""Object stores such as S3: whole objects by ``fsspec``, copies of them here, a lock there."""
