// A sink of one's own: log entries as rows of a table in SQLite, to be asked with SQL.
import { DatabaseSync } from 'node:sqlite'
import { jsonLine, type LogSink, type QueueOptions, queued } from '@simple-cdn/core/log'

export interface SqliteSinkOptions extends QueueOptions {
  /** A file. Made when it is not there. */
  file: string
  /** Rows that are kept; the oldest leave. Default: 1,000,000. */
  maxRows?: number
}

/** `queued()` has the queue in memory, its bound, the second attempts, the counting, and the end. What is left is to send lines. */
export function sqliteSink({ file, maxRows = 1_000_000, ...queue }: SqliteSinkOptions): LogSink {
  let db: DatabaseSync | undefined
  /** Whoever finds it locked does not wait, which would keep the whole process waiting; the lines come again. */
  const open = (): DatabaseSync => {
    const opened = new DatabaseSync(file)
    opened.exec(`
      PRAGMA journal_mode = WAL; PRAGMA busy_timeout = 0;
      CREATE TABLE IF NOT EXISTS requests (id INTEGER PRIMARY KEY, entry TEXT);
    `)
    return opened
  }
  return queued(
    {
      name: 'sqlite',
      format: jsonLine,
      async send(lines) {
        // Not when the sink is made: making one touches nothing outside the process.
        db ??= open()
        // All of them or none, since after a failure they come again.
        db.exec('BEGIN')
        try {
          const insert = db.prepare('INSERT INTO requests (entry) VALUES (?)')
          for (const line of lines) insert.run(line)
          db.prepare('DELETE FROM requests WHERE id <= (SELECT max(id) FROM requests) - ?').run(maxRows)
          db.exec('COMMIT')
        } catch (error) {
          db.exec('ROLLBACK')
          throw error
        }
      },
      async close() {
        db?.close()
        db = undefined
      },
    },
    queue,
  )
}
