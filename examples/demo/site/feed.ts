// The podcast's feed: RSS 2.0 with an enclosure for each episode.
import { duration, EPISODES, type Episode, SHOW } from './episodes.ts'
import { html, type Markup } from './html.ts'

/** `base` is the site's address without a slash at the end; a feed is read elsewhere, so that every link in it is absolute. */
export function feed(base: string, audioBytes: (episode: Episode) => number): string {
  return html`<?xml version="1.0" encoding="utf-8"?>
<rss version="2.0" xmlns:atom="http://www.w3.org/2005/Atom" xmlns:itunes="http://www.itunes.com/dtds/podcast-1.0.dtd">
<channel>
<title>${SHOW.name}</title>
<link>${base}/</link>
<atom:link href="${base}/feed.xml" rel="self" type="application/rss+xml"/>
<description>${SHOW.tagline}</description>
<language>en</language>
<itunes:author>${SHOW.host}</itunes:author>
<itunes:explicit>false</itunes:explicit>
<itunes:category text="Technology"/>
<itunes:image href="${base}/images/cover.png"/>
<image><url>${base}/images/cover.png</url><title>${SHOW.name}</title><link>${base}/</link></image>
${EPISODES.map((episode) => item(base, episode, audioBytes(episode)))}</channel>
</rss>
`.markup
}

function item(base: string, episode: Episode, bytes: number): Markup {
  return html`<item>
<title>${episode.title}</title>
<link>${base}/episodes/${episode.slug}</link>
<guid isPermaLink="false">stale-bread-${episode.number}</guid>
<pubDate>${episode.published.toUTCString()}</pubDate>
<description>${episode.summary}</description>
<enclosure url="${base}/audio/${episode.slug}.wav" length="${bytes}" type="audio/wav"/>
<itunes:episode>${episode.number}</itunes:episode>
<itunes:duration>${duration(episode.seconds)}</itunes:duration>
</item>
`
}
