// @simple-cdn/core/log: formats, choices and sinks for log entries.

export {
  type BatchSink,
  type Boot,
  COMPRESSIONS,
  type Compression,
  compressed,
  DeliveryError,
  type LedgerDay,
  type LogBatch,
  type Numbers,
} from './batch.ts'
export { checkedSink, lineFormat, milliseconds, refuseMistakes, someText } from './checked.ts'
export { type DownloadLine, type DownloadOptions, type Downloads, downloadCounter, readDownloadLine } from './downloads.ts'
export { type FileSinkOptions, fileSink } from './file.ts'
export { lockFolder } from './folder-lock.ts'
export { type AgentClass, agentClass } from './formats/agents.ts'
export { changelogCsv, changelogFeeds } from './formats/changelog.ts'
export { COLUMNS, type ColumnName } from './formats/columns.ts'
export { combined } from './formats/combined.ts'
export { type CsvColumn, type CsvOptions, csv } from './formats/csv.ts'
export { type FlatOptions, flat, flatChecks, flatObject } from './formats/flat.ts'
export type { LogFormat } from './formats/format.ts'
export { type Geo, type GeoSource, located } from './geo.ts'
export { jsonLine } from './json-line.ts'
export { type Choice, chooser, only } from './only.ts'
export { type Place, thisPlace } from './place.ts'
export { type QueueOptions, type QueueTarget, queueChecks, queued } from './queued.ts'
export type { LogSink, Replayed, SinkHost, Verified } from './sink.ts'
export { parseSegment, type Segment, type SpoolFile } from './spool-file.ts'
export { type SpoolOptions, spoolCheck } from './spool-options.ts'
export { spooled } from './spooled.ts'
export { type SyslogSinkOptions, syslogSink } from './syslog.ts'
