// In the browser: how long ago a page was made, and buttons that ask through the cache and show what it says.

for (const time of document.querySelectorAll('time[data-since]')) {
  const clock = time.textContent
  const made = Date.parse(time.dateTime)
  const tick = () => {
    time.textContent = `${clock}, ${Math.max(0, Math.round((Date.now() - made) / 1000))} s ago`
  }
  tick()
  setInterval(tick, 1000)
}

for (const button of document.querySelectorAll('button[data-ask], button[data-post]')) {
  const output = button.parentElement.querySelector('output')
  button.addEventListener('click', async () => {
    button.disabled = true
    output.textContent = '…'
    output.textContent = await (button.dataset.post === undefined ? ask(button.dataset.ask) : post(button.dataset.post))
    button.disabled = false
  })
}

/** Past the browser's own cache, and without following redirects: what the CDN itself says. */
async function ask(path) {
  const began = performance.now()
  try {
    const response = await fetch(path, {
      cache: 'no-store',
      redirect: 'manual',
      headers: path.startsWith('/audio/') ? { range: 'bytes=0-999' } : {},
    })
    await response.arrayBuffer()
    const ms = (performance.now() - began).toFixed(1)
    if (response.type === 'opaqueredirect') return `a redirect, in ${ms} ms`
    const age = response.headers.get('age')
    return [
      `${response.status} in ${ms} ms`,
      age === null ? '' : `age ${age} s`,
      response.headers.get('cache-status') ?? 'no cache on the way',
    ]
      .filter((part) => part !== '')
      .join(' · ')
  } catch (error) {
    return String(error)
  }
}

async function post(path) {
  const response = await fetch(path, { method: 'POST' })
  return response.text()
}
