// What there is to try, in the order in which it is best tried. `{base}` in a command stands for the site's address.

export interface Demonstration {
  readonly path: string
  readonly title: string
  readonly shows: string
  readonly curl: readonly string[]
}

export const DEMONSTRATIONS: readonly Demonstration[] = [
  {
    path: '/',
    title: 'Miss, then hit',
    shows:
      'The browser is told to ask every time (no-cache), the CDN to keep the page for a minute (CDN-Cache-Control). Ask twice.',
    curl: ['curl -sI {base}/', 'curl -sI {base}/'],
  },
  {
    path: '/api/now',
    title: 'Stale while revalidate',
    shows: 'Fresh for 5 seconds, then for 30 more served as it is while the cache fetches a new one behind your back.',
    curl: ['curl -si {base}/api/now', 'sleep 6; curl -si {base}/api/now', 'sleep 1; curl -si {base}/api/now'],
  },
  {
    path: '/flaky',
    title: 'Stale if error',
    shows: 'Fresh for 2 seconds. When the origin fails, the last good answer stands in for it, for up to an hour.',
    curl: [
      'curl -sI {base}/flaky',
      'curl -s -X POST {base}/demo/break',
      'sleep 3; curl -sI {base}/flaky',
      'curl -s -X POST {base}/demo/mend',
    ],
  },
  {
    path: '/slow',
    title: 'One for many',
    shows: 'The origin takes 2 seconds. Of five who ask at once one is sent to it, and the others share the answer.',
    curl: ['for i in 1 2 3 4 5; do curl -sI {base}/slow & done; wait'],
  },
  {
    path: '/audio/day-old.wav',
    title: 'Ranges',
    shows:
      'A recording of 20 MB. The cache fetches the slices of it that somebody wants, and cuts any part out of those it holds.',
    curl: [
      'curl -s -r 0-999 -D - -o part {base}/audio/day-old.wav',
      'curl -s -r 1000-1999 -D - -o part {base}/audio/day-old.wav',
      'curl -s -r 9000000-9000999 -D - -o part {base}/audio/day-old.wav',
    ],
  },
  {
    path: '/feed.xml',
    title: 'Not modified',
    shows: 'Who has the feed already sends its ETag and gets 304, without a body. The cache asks the origin in the same way.',
    curl: [
      `etag=$(curl -sI {base}/feed.xml | tr -d '\\r' | sed -n 's/^etag: //Ip')`,
      'curl -sI -H "If-None-Match: $etag" {base}/feed.xml',
    ],
  },
  {
    path: '/hello',
    title: 'One address, several answers',
    shows: 'The page comes in four languages and says so (Vary: Accept-Language). The cache keeps them apart.',
    curl: ['curl -sI -H Accept-Language:de {base}/hello', 'curl -sI -H Accept-Language:fr {base}/hello'],
  },
  {
    path: '/account',
    title: 'Past the cache with a cookie',
    shows: 'Who has logged in gets every page from the origin: the configuration names the cookie, the pages say private.',
    curl: ['curl -si -d name=Ada {base}/login', 'curl -sI -b session=Ada {base}/'],
  },
  {
    path: '/private',
    title: 'For one browser only',
    shows: 'Cache-Control: private. The browser may keep it, a shared cache may not; so every request is a miss.',
    curl: ['curl -sI {base}/private'],
  },
  {
    path: '/no-store',
    title: 'For nobody to keep',
    shows: 'Cache-Control: no-store. A die is thrown each time you ask.',
    curl: ['curl -s {base}/no-store | grep -i thrown'],
  },
  {
    path: '/rss',
    title: 'Answered by the CDN itself',
    shows: 'An old address of the feed, redirected by a line of the configuration. The origin never hears of it.',
    curl: ['curl -sI {base}/rss'],
  },
  {
    path: '/missing',
    title: 'Not found, and remembered',
    shows: 'A 404 that may be kept for 10 seconds: whoever looks for what is not there does not wake the origin either.',
    curl: ['curl -sI {base}/missing', 'curl -sI {base}/missing'],
  },
]
