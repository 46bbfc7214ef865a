// What pages do beyond being read: they renew themselves, filters answer at once, questions stand above the page, logs grow. Without it everything still works, by links and forms.

const base = document.body.dataset.base ?? ''

/** The one way in which text becomes elements: it comes from our own server, which has escaped what others wrote. */
const policy =
  /** @type {{ trustedTypes?: { createPolicy(name: string, rules: { createHTML(text: string): string }): { createHTML(text: string): string } } }} */ (
    /** @type {unknown} */ (window)
  ).trustedTypes?.createPolicy('compops', { createHTML: text => text })

/** @param {string} html */
function elementsOf(html) {
  const template = document.createElement('template')
  template.innerHTML = policy === undefined ? html : policy.createHTML(html)
  return template.content
}

// Live -----------------------------------------------------------------------------------------------------------------

const freshness = /** @type {HTMLElement | null} */ (document.querySelector('[data-freshness]'))
let heardAt = Date.now()
/** @type {EventSource | null} */
let source = null
let trouble = ''

/** Where the page is: filters change it without loading it anew. */
const here = () => `${location.pathname.slice(base.length)}${location.search}`

/** @param {{ id: string, html?: string, rows?: { key: string, html: string }[] }} change */
function apply(change) {
  const region = document.getElementById(`r-${change.id}`)
  if (region === null) return
  if (change.html !== undefined) {
    keepingFocus(region, () => region.replaceChildren(elementsOf(change.html ?? '')))
    return
  }
  for (const { key, html } of change.rows ?? []) {
    const row = [...region.querySelectorAll('[data-key]')].find(one => one.getAttribute('data-key') === key)
    const next = elementsOf(html).firstElementChild
    if (row !== undefined && next !== null) keepingFocus(row, () => row.replaceWith(next))
  }
}

/** Whoever is at a link keeps standing at it when what is around it is renewed. @param {Element} around @param {() => void} work */
function keepingFocus(around, work) {
  const at = document.activeElement
  const address = at !== null && around.contains(at) ? at.getAttribute('href') : null
  const [x, y] = [around.querySelector('.scroll')?.scrollLeft ?? 0, window.scrollY]
  work()
  const scroll = around.querySelector('.scroll')
  if (scroll !== null) scroll.scrollLeft = x
  if (window.scrollY !== y) window.scrollTo(window.scrollX, y)
  if (address === null) return
  const again = [...document.querySelectorAll('#main a[href]')].find(one => one.getAttribute('href') === address)
  if (again instanceof HTMLElement) again.focus({ preventScroll: true })
}

function listen() {
  source?.close()
  const stamp = document.body.dataset.stamp
  if (stamp === undefined) return
  source = new EventSource(`${base}/live?${new URLSearchParams({ at: here(), stamp })}`)
  source.addEventListener('changes', event => {
    heard()
    document.body.dataset.stamp = event.lastEventId
    for (const change of JSON.parse(event.data).changes) apply(change)
    if (folded.size > 0) fold()
  })
  source.addEventListener('fresh', heard)
  source.addEventListener('trouble', event => {
    trouble = event.data
    tell()
  })
  source.addEventListener('reload', () => {
    source?.close()
    location.reload()
  })
  source.addEventListener('error', () => {
    // Refused, not interrupted: the session is over, or the service is being replaced. Asked again a little later.
    if (source?.readyState === EventSource.CLOSED) setTimeout(listen, 5_000)
  })
}

function heard() {
  heardAt = Date.now()
  trouble = ''
  tell()
}

function tell() {
  if (freshness === null) return
  const seconds = Math.round((Date.now() - heardAt) / 1_000)
  const late = seconds > 25
  freshness.dataset.live = late || trouble !== '' ? 'no' : 'yes'
  const since = new Date(heardAt).toLocaleTimeString()
  const text =
    trouble !== ''
      ? `${trouble}: shown as of ${since}`
      : late
        ? `not live: shown as of ${since}`
        : `live, ${seconds} s ago`
  if (freshness.textContent !== text) freshness.textContent = text
}

/** `12 s`, `2 m 10 s`, `1 h 04 m`, as the server writes it. @param {number} seconds */
function duration(seconds) {
  const whole = Math.max(0, Math.round(seconds))
  /** @param {number} large @param {string} unit @param {number} small @param {string} smallUnit */
  const pair = (large, unit, small, smallUnit) =>
    small === 0 ? `${large} ${unit}` : `${large} ${unit} ${String(small).padStart(2, '0')} ${smallUnit}`
  if (whole < 60) return `${whole} s`
  if (whole < 3_600) return pair(Math.floor(whole / 60), 'm', whole % 60, 's')
  const minutes = Math.round(whole / 60)
  if (minutes < 24 * 60) return pair(Math.floor(minutes / 60), 'h', minutes % 60, 'm')
  const hours = Math.round(whole / 3_600)
  return pair(Math.floor(hours / 24), 'd', hours % 24, 'h')
}

function tick() {
  if (document.visibilityState !== 'visible') return
  tell()
  for (const one of document.querySelectorAll('[data-from]')) {
    const text = duration((Date.now() - Date.parse(one.getAttribute('data-from') ?? '')) / 1_000)
    if (one.textContent !== text) one.textContent = text
  }
}

if (freshness !== null) {
  listen()
  setInterval(tick, 1_000)
  document.addEventListener('visibilitychange', () => {
    // A page that nobody looks at costs nothing.
    if (document.visibilityState === 'hidden') source?.close()
    else listen()
  })
}

// Filters --------------------------------------------------------------------------------------------------------------

let asked = 0

/** Takes what another address would show into this page. @param {string} address @param {'push' | 'replace' | 'none'} history */
async function show(address, history) {
  const turn = ++asked
  const answer = await fetch(address, { headers: { 'x-compops-piece': 'yes' } }).catch(() => null)
  if (turn !== asked) return
  if (
    answer === null ||
    !answer.ok ||
    answer.redirected ||
    !(answer.headers.get('content-type') ?? '').includes('json')
  ) {
    location.assign(address)
    return
  }
  const page = await answer.json()
  if (history === 'push') window.history.pushState(null, '', address)
  if (history === 'replace') window.history.replaceState(null, '', address)
  document.title = `${page.title} · ComputationalOps`
  for (const region of page.regions) apply(region)
  if (folded.size > 0) fold()
  document.body.dataset.stamp = page.stamp
  heard()
  listen()
}

const filter = /** @type {HTMLFormElement | null} */ (document.querySelector('form[data-filter]'))
if (filter !== null) {
  const address = () => {
    const given = [...new FormData(filter)]
      .filter(([, value]) => value !== '')
      .map(([name, value]) => [name, String(value)])
    // State and order are chosen beside the form: what the address says of them holds.
    const now = new URLSearchParams(location.search)
    const wanted = new URLSearchParams(given.filter(([name]) => !['state', 'sort', 'order'].includes(name ?? '')))
    for (const name of ['state', 'sort', 'order']) {
      const value = now.get(name)
      if (value !== null) wanted.set(name, value)
    }
    if (wanted.get('when') === 'now') wanted.delete('when')
    const text = wanted.toString()
    return `${filter.getAttribute('action')}${text === '' ? '' : `?${text}`}`
  }
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let waiting
  filter.addEventListener('input', event => {
    clearTimeout(waiting)
    waiting = setTimeout(() => show(address(), 'replace'), event.target instanceof HTMLSelectElement ? 0 : 180)
  })
  filter.addEventListener('submit', event => {
    event.preventDefault()
    clearTimeout(waiting)
    show(address(), 'push')
  })
}
window.addEventListener('popstate', () => {
  if (filter !== null) location.reload()
})

// The tree -------------------------------------------------------------------------------------------------------------

/** Branches whose subtree is folded away; kept while rows are renewed. @type {Set<string>} */
const folded = new Set()

/** Hides what is below a folded branch: rows stand in the order of the tree, each with its depth. */
function fold() {
  /** @type {number | null} */
  let hiddenBelow = null
  for (const row of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll('.tree > li'))) {
    const depth = Number(row.dataset.depth)
    if (hiddenBelow !== null && depth <= hiddenBelow) hiddenBelow = null
    row.hidden = hiddenBelow !== null
    const closed = folded.has(row.dataset.key ?? '')
    row.querySelector('[data-fold]')?.setAttribute('aria-expanded', closed ? 'false' : 'true')
    if (closed && hiddenBelow === null) hiddenBelow = depth
  }
}

document.addEventListener('click', event => {
  const row = event.target instanceof Element ? event.target.closest('[data-fold]')?.closest('li') : null
  const key = row?.dataset.key
  if (key === undefined) return
  if (!folded.delete(key)) folded.add(key)
  fold()
})

// Questions before acts ------------------------------------------------------------------------------------------------

/** @param {string} address */
async function ask(address) {
  const answer = await fetch(address).catch(() => null)
  const text = answer?.ok === true ? await answer.text() : ''
  const question = elementsOf(text).querySelector('[data-question]')
  if (question === null) {
    location.assign(address)
    return
  }
  const dialog = document.createElement('dialog')
  dialog.setAttribute('aria-label', question.querySelector('h1')?.textContent ?? 'Question')
  dialog.append(question)
  dialog.addEventListener('close', () => dialog.remove())
  document.body.append(dialog)
  dialog.showModal()
}

document.addEventListener('click', event => {
  if (!(event.target instanceof Element) || event.defaultPrevented) return
  const plain = event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey
  const link = event.target.closest('a')
  if (event.target.closest('[data-close]') !== null) event.target.closest('.toast')?.remove()
  if (link === null || !plain) return
  const dialog = link.closest('dialog')
  if (link.hasAttribute('data-dismiss') && dialog !== null) {
    event.preventDefault()
    dialog.close()
  } else if (link.hasAttribute('data-piece') && filter !== null) {
    event.preventDefault()
    show(link.href, 'push')
  } else if (link.hasAttribute('data-act')) {
    event.preventDefault()
    ask(link.href)
  }
})
for (const button of document.querySelectorAll('[data-close]')) button.removeAttribute('hidden')

// Logs -----------------------------------------------------------------------------------------------------------------

/** Characters of a log that a page holds: of 2 GB the end. */
const mostShown = 1_000_000
const farBehind = 16_000_000

const log = /** @type {HTMLElement | null} */ (document.querySelector('pre[data-log]'))
if (log !== null) follow(log)

/** @param {HTMLElement} pre */
async function follow(pre) {
  const state = document.querySelector('[data-log-state]')
  const box = /** @type {HTMLInputElement | null} */ (document.querySelector('[data-log-follow]'))
  const find = /** @type {HTMLInputElement | null} */ (document.querySelector('[data-log-find]'))
  for (const tool of document.querySelectorAll('[data-log-tool], [data-log-find]')) tool.removeAttribute('hidden')
  /** @param {string} text */
  const say = text => {
    if (state !== null) state.textContent = text
  }
  const text = document.createTextNode('')
  pre.replaceChildren()
  find?.addEventListener('input', () => mark(text, find.value, true))
  /** @type {number | null} */
  let next = null
  let attempt = ''
  let decoder = new TextDecoder()
  for (;;) {
    /** @type {string} */
    const query = `offset=${next ?? -65_536}&wait=${next === null ? 0 : 20}${pre.dataset.task ?? ''}${attempt === '' || next === null ? '' : `&attempt=${attempt}`}`
    /** @type {Response | null} */
    const answer = await fetch(`${pre.dataset.log}?${query}`).catch(() => null)
    if (answer === null || answer.status >= 500 || answer.status === 429) {
      say('The log cannot be read at present; it is tried again.')
      await new Promise(done => setTimeout(done, 5_000))
      continue
    }
    if (answer.redirected || answer.status === 401) return say('You are signed out: load the page anew.')
    const ended = answer.headers.get('x-compops-ended') === 'yes'
    if (!answer.ok) {
      say(((await answer.json().catch(() => null)) ?? { error: 'There is no log.' }).error)
      if (ended || answer.status === 403) return
      await new Promise(done => setTimeout(done, 3_000))
      continue
    }
    attempt = answer.headers.get('x-compops-attempt') ?? ''
    const bytes = new Uint8Array(await answer.arrayBuffer())
    /** @type {number} */
    const offset = Number(answer.headers.get('x-compops-offset') ?? 0)
    const size = Number(answer.headers.get('x-compops-size') ?? 0)
    if (next === null) {
      decoder = new TextDecoder()
      if (offset > 0) say(`Shown from byte ${offset.toLocaleString()} on.`)
      else say('')
    }
    next = offset + bytes.length
    if (bytes.length > 0) {
      if (text.parentNode === null) pre.append(text)
      const all = text.data + decoder.decode(bytes, { stream: true })
      text.data = all.length > mostShown ? all.slice(-mostShown) : all
      if (box?.checked === true) pre.scrollTop = pre.scrollHeight
      if (find !== null && find.value !== '') mark(text, find.value, false)
    }
    if (ended && next >= size) return
    // Written faster than it is read: what is shown is its end.
    if (size - next > farBehind) {
      text.data = ''
      next = null
    }
  }
}

/** Shows where a text stands, by the browser's own highlights: the log stays one text. @param {Text} text @param {string} wanted @param {boolean} go */
function mark(text, wanted, go) {
  if (!('highlights' in CSS)) return
  CSS.highlights.delete('found')
  const [hay, needle] = [text.data.toLowerCase(), wanted.toLowerCase()]
  if (needle === '') return
  const ranges = []
  for (let at = hay.indexOf(needle); at !== -1 && ranges.length < 2_000; at = hay.indexOf(needle, at + needle.length)) {
    const range = new Range()
    range.setStart(text, at)
    range.setEnd(text, Math.min(text.length, at + needle.length))
    ranges.push(range)
  }
  CSS.highlights.set('found', new Highlight(...ranges))
  const last = ranges.at(-1)
  const pre = text.parentElement
  if (!go || last === undefined || pre === null) return
  const box = /** @type {HTMLInputElement | null} */ (document.querySelector('[data-log-follow]'))
  if (box !== null) box.checked = false
  pre.scrollTop += last.getBoundingClientRect().top - pre.getBoundingClientRect().top - pre.clientHeight / 2
}
