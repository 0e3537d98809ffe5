// Which feed lies where in the bucket: each under its address, with a slash at the end, and under its own name.
const shows = [
  'podcast',
  'gotime',
  'master',
  'jsparty',
  'shipit',
  'news',
  'brainscience',
  'founderstalk',
  'interviews',
  'friends',
  'rfc',
  'spotlight',
  'afk',
  'posts',
]

/** The feed for paying members: its address is the key to it. There is no other way to it, and no default. */
const secret = process.env.PLUSPLUS_TOKEN

const all: readonly (readonly [address: string, name: string])[] = [
  ...shows.map((show) => [`/${show}/feed`, show] as const),
  ['/feed', 'feed'],
  ['/rss', 'feed'],
]

export const feeds: Readonly<Record<string, string>> = Object.fromEntries([
  ...all.flatMap(([address, name]) => [address, `${address}/`, `/${name}.xml`].map((path) => [path, `/${name}.xml`])),
  ...(secret ? ['', '/'].map((end) => [`/plusplus/${secret}/feed${end}`, '/plusplus.xml']) : []),
])
