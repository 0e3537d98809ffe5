// What kind of program an agent says it is: enough to keep robots out of counts of people.

export type AgentClass = 'bot' | 'none' | 'other'

const BOT =
  /bot\b|bot[/;_-]|crawl|spider|slurp|scrape|fetcher|monitor|uptime|pingdom|headless|lighthouse|facebookexternalhit|preview|archiver|^(?:curl|wget|python|go-http-client|java|okhttp|libwww|axios|node|undici|got|ruby|perl|php|scrapy|httpie|aiohttp)\b/i

/** "none": it named none. Podcast apps and browsers are "other". */
export function agentClass(userAgent: string | undefined): AgentClass {
  if (userAgent === undefined || userAgent === '') return 'none'
  return BOT.test(userAgent) ? 'bot' : 'other'
}
