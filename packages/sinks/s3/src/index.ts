// @simple-cdn/sink-s3: log entries as objects in S3, R2, Tigris, or whatever else speaks S3.
export { S3Client, S3Error, type S3Options } from './client.ts'
export { type S3SinkOptions, s3Batches, s3Sink } from './s3-sink.ts'
