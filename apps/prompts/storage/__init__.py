"""Where ciphertext lies: first in Postgres, then in S3, and nowhere when its time is over."""
