// The magazine without a network: what a purge takes, what it leaves, and what readers get meanwhile.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { playConfig, scriptedOrigin } from '@simple-cdn/testing'

// As it is where it runs: options of the program do not matter here.
process.env.PURGE_TOKEN = 'of-sixteen-characters'
const { default: config } = await import('./cdn.config.ts')

async function magazine() {
  const app = scriptedOrigin('app')
  const player = await playConfig(config, { app })
  const publish = (edition: number) =>
    app.answer(({ target }) => ({
      headers: { 'Surrogate-Key': target === '/' ? 'front article-17 article-18' : `article-${target.split('-')[1]}` },
      body: `edition ${edition}`,
    }))
  publish(1)
  for (const path of ['/', '/articles/a-17', '/articles/a-18']) await player.get(path)
  publish(2)
  await player.clock.advance(1)
  const get = async (path: string) => (await player.get(path)).text
  return { ...player, get }
}

describe('the magazine', () => {
  it('has a new article, and a new front page, and keeps the other article', async () => {
    const { cdn, clock, get } = await magazine()
    await cdn.purge({ surrogateKey: 'article-17' })
    await clock.advance(1)
    assert.deepEqual(
      [await get('/articles/a-17'), await get('/'), await get('/articles/a-18')],
      ['edition 2', 'edition 2', 'edition 1'],
    )
  })

  it('lets nobody wait after a soft purge: the first reader gets the old page, the next the new one', async () => {
    const { cdn, clock, get } = await magazine()
    await cdn.purge({ route: 'articles' }, { soft: true })
    await clock.advance(1_000)
    assert.deepEqual([await get('/articles/a-18'), await get('/articles/a-18')], ['edition 1', 'edition 2'])
    assert.equal(await get('/'), 'edition 1')
  })
})
