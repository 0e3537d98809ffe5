// The store on cacache keeps what every store promises.
import { mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after } from 'node:test'
import { testStore } from '@simple-cdn/testing'
import { cacacheStore } from '../src/index.ts'

const root = mkdtempSync(join(tmpdir(), 'store-cacache-'))
after(() => rm(root, { recursive: true, force: true }))
let count = 0

testStore({ name: 'cacache', create: ({ maxBytes }) => cacacheStore({ folder: join(root, `${count++}`), maxBytes }) })
