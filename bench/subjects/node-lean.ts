// The floor of node:http: a Map, a header array made once, one end(). No Age, no Cache-Status, no log: not a cache, a yardstick.
import { createServer } from 'node:http'
import { listen } from './listen.ts'

const [origin = ''] = process.argv.slice(2)
const response = await fetch(`${origin}/page`)
const stored = {
  fields: [...response.headers].filter(([name]) => !/^(date|connection|keep-alive)$/.test(name)).flat(),
  body: Buffer.from(await response.arrayBuffer()),
}
const pages = new Map([
  ['/', stored],
  ['/page', stored],
])

listen(
  createServer((request, response) => {
    const page = pages.get(request.url as string)
    if (page === undefined) response.writeHead(404).end()
    else response.writeHead(200, page.fields).end(page.body)
  }),
)
