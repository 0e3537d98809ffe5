// The pages, as markup. Each ends with a receipt: what the origin said about keeping the page, and what to try with it.
import { DEMONSTRATIONS, type Demonstration } from './demonstrations.ts'
import { duration, EPISODES, type Episode, SHOW } from './episodes.ts'
import { html, type Markup } from './html.ts'

/** What every page is told about the request it answers. */
export interface Visit {
  /** The site's address as the client wrote it, without a slash at the end. */
  readonly base: string
  readonly path: string
  /** Who is logged in. */
  readonly name: string | undefined
  /** When the origin made this answer, and how many it had made for this path by then, this one included. */
  readonly at: Date
  readonly batch: number
}

export interface Page {
  readonly title: string
  readonly main: Markup
  /** What it demonstrates; default: what is listed under its path. */
  readonly shows?: Demonstration
}

/** Where the style sheet and the script are: their names change with their bytes. */
export interface Assets {
  readonly style: string
  readonly script: string
}

const NAVIGATION = [
  ['/', 'Episodes'],
  ['/try', 'Try the cache'],
  ['/account', 'Account'],
  ['/feed.xml', 'Feed'],
] as const

export function layout(page: Page, visit: Visit, fields: Readonly<Record<string, string>>, assets: Assets): string {
  return html`<!doctype html>
<html lang="${fields['content-language'] ?? 'en'}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${page.title === SHOW.name ? SHOW.name : `${page.title} · ${SHOW.name}`}</title>
<link rel="icon" href="/images/day-old.svg" type="image/svg+xml">
<link rel="alternate" href="/feed.xml" type="application/rss+xml" title="${SHOW.name}">
<link rel="stylesheet" href="${assets.style}">
<script src="${assets.script}" defer></script>
</head>
<body>
<header>
<a class="brand" href="/"><img src="/images/day-old.svg" alt="" width="36" height="36">${SHOW.name}</a>
<nav>${NAVIGATION.map(([path, label]) => (path === visit.path ? html`<a href="${path}" aria-current="page">${label}</a>` : html`<a href="${path}">${label}</a>`))}</nav>
</header>
<main>
${page.main}
</main>
${receipt(page.shows ?? DEMONSTRATIONS.find(({ path }) => path === visit.path), visit, fields)}
</body>
</html>
`.markup
}

/** The fields that say what a cache may do with a page. */
const TELLING = ['cache-control', 'cdn-cache-control', 'vary']

function receipt(
  shows: Demonstration | undefined,
  { base, path, at, batch }: Visit,
  fields: Readonly<Record<string, string>>,
): Markup {
  const said = TELLING.flatMap((name) => (fields[name] === undefined ? [] : [html`<code>${name}: ${fields[name]}</code>`]))
  return html`<footer class="receipt" aria-label="How this page was made">
<dl>
<dt>Baked</dt><dd><time datetime="${at.toISOString()}" data-since>${at.toISOString().slice(11, 19)} UTC</time></dd>
<dt>Batch</dt><dd>no. ${batch} of <code>${path}</code> since the origin started</dd>
<dt>Label</dt><dd class="stack">${said.length === 0 ? 'none: the origin leaves it to the cache' : said}</dd>
${
  shows === undefined
    ? ''
    : html`<dt>Shows</dt><dd>${shows.shows}</dd>
<dt>Try</dt><dd class="stack">${shows.curl.map((line) => command(line, base))}</dd>`
}
</dl>
<p><button type="button" data-ask="${path}">Ask again</button> <output>A page from the cache keeps its time and its batch.</output></p>
</footer>`
}

function command(line: string, base: string): Markup {
  const words = line.replaceAll('{base}', base).split(' ')
  return html`<code class="line">${words.map((word, at) => html`${at === 0 ? '' : ' '}<span>${word}</span>`)}</code>`
}

export function home({ name }: Visit): Page {
  const [latest] = EPISODES
  return {
    title: SHOW.name,
    main: html`<section class="hero">
<img src="/images/cover.png" alt="A loaf of bread whose cuts are a sound wave" width="1400" height="1400">
<div>
<p class="kicker">${name === undefined ? 'Fresh every Thursday' : html`Good to see you, ${name}`}</p>
<h1>${SHOW.name}</h1>
<p class="lead">${SHOW.tagline} From ${SHOW.host}.</p>
<p class="actions"><a class="button" href="/episodes/${latest?.slug ?? ''}">Play the latest</a> <a class="button quiet" href="/feed.xml">Subscribe</a></p>
</div>
</section>
<h2>Episodes</h2>
<ol class="cards" reversed>${EPISODES.map(card)}</ol>`,
  }
}

function card(episode: Episode): Markup {
  return html`<li><a href="/episodes/${episode.slug}">
<img src="/images/${episode.slug}.svg" alt="" width="400" height="400" loading="lazy">
<h3>${episode.title}</h3>
<p>${episode.summary}</p>
<p class="small">${dayOf(episode)} · ${duration(episode.seconds)}</p>
</a></li>
`
}

export function episodePage(episode: Episode, audioBytes: number): Page {
  const path = `/audio/${episode.slug}.wav`
  return {
    title: episode.title,
    main: html`<article class="episode">
<img src="/images/${episode.slug}.svg" alt="" width="400" height="400">
<div>
<p class="kicker">Episode ${episode.number} · ${dayOf(episode)} · ${duration(episode.seconds)}</p>
<h1>${episode.title}</h1>
<p class="lead">${episode.summary}</p>
<audio controls preload="none" src="${path}"></audio>
${episode.notes.map((note) => html`<p>${note}</p>`)}
<p class="small"><a href="${path}" download>Download</a> (WAV, ${(audioBytes / 1e6).toFixed(1)} MB)</p>
</div>
</article>`,
    shows: {
      path,
      title: 'Ranges',
      shows: 'The player asks for parts of one large file (206). Once the cache has it, no part is asked for again.',
      curl: [`curl -s -r 9000000-9000999 -D - -o part {base}${path}`],
    },
  }
}

export function tryPage({ base }: Visit): Page {
  return {
    title: 'Try the cache',
    main: html`<h1>Try the cache</h1>
<p class="lead">Each card asks through the cache and shows its answer. The terminal in which the demo runs tells the same, with the reason.</p>
<section class="switch">
<h2>The oven</h2>
<p>Switch the origin off and see what still comes out: whatever the cache holds and may serve.</p>
<p class="actions">
<button type="button" data-post="/demo/break">Answer 503</button>
<button type="button" data-post="/demo/break?how=drop">Drop connections</button>
<button type="button" data-post="/demo/mend">Mend it</button>
<output></output>
</p>
</section>
<ul class="tries">${DEMONSTRATIONS.map(
      ({ path, title, shows, curl }) => html`<li id="${path.replaceAll(/\W+/g, '-').replace(/^-/, '') || 'home'}">
<h2>${title}</h2>
<p>${shows}</p>
<p class="stack">${curl.map((line) => command(line, base))}</p>
<p><button type="button" data-ask="${path}">Ask</button> <a href="${path}">open</a> <output></output></p>
</li>
`,
    )}</ul>`,
  }
}

export function plain(title: string, ...paragraphs: readonly (string | Markup)[]): Page {
  return {
    title,
    main: html`<h1>${title}</h1>
${paragraphs.map((paragraph) => html`<p class="lead">${paragraph}</p>`)}`,
  }
}

export function loginPage(): Page {
  return {
    title: 'Log in',
    main: html`<h1>Log in</h1>
<p class="lead">Any name will do. From then on your browser sends a cookie called <code>session</code>, and the cache keeps out of it.</p>
<form method="post" action="/login"><label>Name <input name="name" required maxlength="40" autocomplete="nickname" value="Ada"></label> <button>Log in</button></form>`,
  }
}

export function accountPage(name: string): Page {
  return {
    title: 'Account',
    main: html`<h1>Good morning, ${name}</h1>
<p class="lead">This page is yours alone. The front page greets you as well now, and nobody else.</p>
<form method="post" action="/logout"><button>Log out</button></form>`,
  }
}

function dayOf({ published }: Episode): string {
  return published.toLocaleDateString('en', { day: 'numeric', month: 'long', year: 'numeric', timeZone: 'UTC' })
}
