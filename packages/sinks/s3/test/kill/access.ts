// What opens the strict fake, and how long a loss of power may take: for everything that is killed here.

export const ACCESS = {
  bucket: 'logs',
  region: 'us-east-1',
  accessKeyId: 'cdntest',
  secretAccessKey: 'cdntest',
  timeoutMs: 5_000,
}

/** As is the default of the queue. */
export const FSYNC_MS = 1_000
